// Names what MallowNIO has with its trait alone: run.sh sees to it that the compiler says how to turn that on.

func makeHandlers() {
    _ = SegmentedInboundHandler()
    _ = SegmentedOutboundHandler(copyLimit: 100)
}
