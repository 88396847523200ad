// What the tests need around the tool: folders that go away, scripts, C programs, and a malloc library that reports
// what the test tells it to.

import Foundation
import Testing

/// A folder that is removed with its last reference. Others than the user may look into it.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/mallowtooltests-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        chmod(path, 0o755)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func path(_ name: String) -> String { path + "/" + name }

    func contents(_ name: String) -> String {
        FileManager.default.contents(atPath: path(name)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }

    /// Writes a file and returns its path.
    @discardableResult
    func write(_ name: String, _ text: String, mode: mode_t = 0o755) throws -> String {
        try write(name, Data(text.utf8), mode: mode)
    }

    @discardableResult
    func write(_ name: String, _ contents: Data, mode: mode_t = 0o755) throws -> String {
        let draft = path(name) + ".draft"
        try contents.write(to: URL(fileURLWithPath: draft))
        defer { unlink(draft) }
        return try copy(draft, as: name, mode: mode)
    }

    /// Copies the contents of a file and gives the copy to somebody, with special bits.
    ///
    /// By `cp`: a file that this process itself writes to cannot be executed as long as a child that another thread
    /// happens to start still has it open ("Text file busy").
    @discardableResult
    func copy(
        _ source: String, as name: String, owner: uid_t? = nil, group: gid_t? = nil, mode: mode_t
    ) throws -> String {
        try run("cp", [source, path(name)])
        if owner != nil || group != nil {
            try #require(chown(path(name), owner ?? getuid(), group ?? getgid()) == 0)
        }
        try #require(chmod(path(name), mode) == 0)
        return path(name)
    }

    /// Compiles a C program or library and returns its path.
    func compile(_ name: String, _ source: String, _ options: String...) throws -> String {
        let file = try write(name + ".c", source, mode: 0o644)
        try run("cc", ["-O1", "-o", path(name), file] + options)
        return path(name)
    }

    /// Runs a program that must succeed.
    private func run(_ program: String, _ arguments: [String]) throws {
        let messages = path("messages-of-\(program)")
        let process = try SpawnedProcess(
            "/usr/bin/env", [program] + arguments, environment: ProcessInfo.processInfo.environment,
            files: ("/dev/null", "/dev/null", messages), blocked: [])
        try #require(process.wait() == 0, "\(program): \(contents("messages-of-\(program)"))")
        unlink(messages)
    }
}

/// A dynamically linked program that does nothing.
let truePath = "/bin/true"

/// C sources.
enum Source {
    static let nothing = "int main(void) { return 0; }"

    /// Touches so many MiB and prints so many numbers.
    static let memory = """
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        int main(int count, char **words) {
            size_t size = (size_t)atoi(words[1]) << 20;
            char *block = malloc(size);
            if (!block) return 1;
            memset(block, 1, size);
            printf("%d\\n", block[size - 1]);
            free(block);
            return 0;
        }
        """

    /// Starts two programs; three processes in all.
    static let threeProcesses = """
        #include <stdlib.h>
        int main(void) { return system("exec /bin/true") || system("exec /bin/true"); }
        """

    /// A malloc library whose processes report 1 allocation, then 42, and lack most fields.
    static let reportingLibrary = """
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        extern void *__libc_malloc(size_t);
        void *malloc(size_t size) { return __libc_malloc(size); }
        __attribute__((destructor)) static void report(void) {
            const char *setting = getenv("MALLOW_STATS");
            const char *mark = setting ? strstr(setting, "%p") : 0;
            char path[4096];
            if (!mark) return;
            snprintf(path, sizeof path, "%.*s%d%s", (int)(mark - setting), setting, getpid(), mark + 2);
            FILE *file = fopen(path, "a");
            if (!file) return;
            fprintf(file, "{\\"mallow\\":\\"9.9\\",\\"allocations\\":1}\\n");
            fprintf(file, "{\\"mallow\\":\\"9.9\\",\\"allocations\\":42,\\"unknown\\":[],\\"sizeClasses\\":"
                          "[{\\"size\\":48,\\"allocations\\":40},{\\"size\\":16,\\"allocations\\":2,\\"pages\\":1}]}\\n");
            fclose(file);
        }
        """

    /// Ignores SIGCHLD and becomes another program.
    static let ignoreChildren = """
        #include <signal.h>
        #include <unistd.h>
        int main(int count, char **words) {
            signal(SIGCHLD, SIG_IGN);
            execv(words[1], words + 1);
            return 1;
        }
        """

    /// Gives a file capabilities.
    static let giveCapabilities = """
        #include <sys/xattr.h>
        #include <linux/capability.h>
        int main(int count, char **words) {
            struct vfs_cap_data data = { .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE };
            data.data[0].permitted = 1 << CAP_NET_RAW;
            return setxattr(words[1], "security.capability", &data, sizeof data, 0) != 0;
        }
        """
}

/// A JSON file as a dictionary.
func readJSON(_ path: String) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
}
