#if NIO
    public import Mallow
    public import NIOCore
#endif
