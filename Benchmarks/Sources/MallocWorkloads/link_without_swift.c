// SwiftPM links a C program through the Swift driver, which adds libswiftCore and with it libstdc++: 4 MB more of every
// peak, and blocks that these libraries allocate before `main`. A Swift object file can ask the linker for libraries by
// this section, and what it asks for stands before libswiftCore on the command line: from here on the linker leaves
// out the libraries that nothing needs. (`-Xlinker` options come too late for that.) `-nostartfiles` in Package.swift
// leaves out the start-up code that would need libswiftCore.

__attribute__((used, section(".swift1_autolink_entries")))
static const char leave_out_unneeded_libraries[] = "-Wl,--as-needed";
