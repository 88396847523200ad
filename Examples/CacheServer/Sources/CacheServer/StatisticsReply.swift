// `stats` and its kin: lines of `STAT <name> <value>`. Rare, so made of strings.

import CacheStore
import Foundation
import MemcachedProtocol
import NIOCore

extension CacheHandler {
    /// Writes what `stats` asks for, and says what ends it.
    func writeStatistics(_ arguments: Words) -> Reply {
        var arguments = arguments
        guard let word = arguments.next() else {
            write(server.statistics())
            return .end
        }
        switch String(decoding: word, as: UTF8.self) {
        case "slabs": write(store.slabStatistics())
        case "items": write(store.itemStatistics())
        case "settings": write(server.settings())
        case "sizes": write([("sizes_status", "disabled")])
        case "reset":
            store.resetCounters()
            return .reset
        default: return .error
        }
        return .end
    }

    private func write(_ lines: [(name: String, value: String)]) {
        for line in lines { reply.append("STAT \(line.name) \(line.value)\r\n") }
    }
}

extension Server {
    /// What the store and the connections have done, under memcached's names.
    func statistics() -> [(name: String, value: String)] {
        let seconds = (ContinuousClock.now - startOfClock).components.seconds
        var usage = rusage()
        #if canImport(Glibc)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        #else
            getrusage(RUSAGE_SELF, &usage)
        #endif
        func time(_ value: timeval) -> String { String(format: "%d.%06d", Int(value.tv_sec), Int(value.tv_usec)) }
        var lines: [(name: String, value: String)] = [
            ("pid", "\(ProcessInfo.processInfo.processIdentifier)"), ("uptime", "\(seconds)"),
            ("time", "\(Int(Date().timeIntervalSince1970))"), ("version", Reply.versionName), ("pointer_size", "64"),
            ("rusage_user", time(usage.ru_utime)), ("rusage_system", time(usage.ru_stime)),
            ("max_connections", "\(options.connections)"),
            ("curr_connections", "\(connections.load(ordering: .relaxed))"),
            ("total_connections", "\(accepted.load(ordering: .relaxed))"),
            ("rejected_connections", "\(rejected.load(ordering: .relaxed))"),
        ]
        lines += store.statistics()
        lines += [
            ("bytes_read", "\(loopCounters.reduce(0) { $0 + $1.bytesRead.load(ordering: .relaxed) })"),
            ("bytes_written", "\(loopCounters.reduce(0) { $0 + $1.bytesWritten.load(ordering: .relaxed) })"),
            ("threads", "\(options.threads)"),
        ]
        return lines
    }

    func settings() -> [(name: String, value: String)] {
        [
            ("maxbytes", "\(options.store.memoryLimit)"), ("maxconns", "\(options.connections)"),
            ("tcpport", "\(options.port)"), ("udpport", "0"), ("inter", options.address),
            ("verbosity", "\(options.verbosity)"), ("evictions", "on"),
            ("growth_factor", "\(options.store.growthFactor)"), ("num_threads", "\(options.threads)"),
            ("cas_enabled", "yes"), ("flush_enabled", "yes"), ("item_size_max", "\(options.store.largestItem)"),
        ]
    }
}
