"""What a transport stream holds, read independently of the server's parser: packets, tables, access points, and what
is left of a stream in which something is wrong."""

PACKET = 188
SYNC = 0x47


def pid(packet):
    return (packet[1] & 0x1F) << 8 | packet[2]


def starts_unit(packet):
    return bool(packet[1] & 0x40)


def random_access(packet):
    return bool(packet[3] & 0x20) and packet[4] > 0 and bool(packet[5] & 0x40)


def map_pid(packet):
    """The PID of the first program's map, by a packet with an association table."""
    section = packet[4 + 1 + packet[4] :]
    return (section[10] & 0x1F) << 8 | section[11]


def video_pid(packet):
    """The PID of the first video, by a packet with a program's map."""
    section = packet[4 + 1 + packet[4] :]
    end = 3 + ((section[1] & 0x0F) << 8 | section[2]) - 4
    place = 12 + ((section[10] & 0x0F) << 8 | section[11])
    while place < end:
        if section[place] in (0x01, 0x02, 0x1B, 0x24):
            return (section[place + 1] & 0x1F) << 8 | section[place + 2]
        place += 5 + ((section[place + 3] & 0x0F) << 8 | section[place + 4])
    return None


class Stream:
    """A whole stream, such as ffmpeg makes one."""

    def __init__(self, data):
        assert len(data) % PACKET == 0 and data[::PACKET] == bytes([SYNC]) * (len(data) // PACKET)
        self.data = data
        # Where a decoder can start, and the tables that it needs before.
        self.access_points = []
        self.tables_at = {}
        associations = program_map = video = None
        for start in range(0, len(data), PACKET):
            packet = data[start : start + PACKET]
            if pid(packet) == 0:
                associations = packet
            elif associations and pid(packet) == map_pid(associations):
                program_map = packet
                video = video_pid(packet)
            elif video is not None and pid(packet) == video and starts_unit(packet) and random_access(packet):
                self.access_points.append(start)
                self.tables_at[start] = associations + program_map

    def from_group_before(self, received):
        """What a late subscriber is sent when this much was received: from the last keyframe that was whole."""
        start = max(point for point in self.access_points if point + PACKET <= received)
        return self.tables_at[start] + self.data[start:]

    def from_group_after(self, received):
        """The same without a group that is kept: from the next keyframe."""
        start = min(point for point in self.access_points if point + PACKET > received)
        return self.tables_at[start] + self.data[start:]


def surviving(data):
    """The packets that are left of a damaged stream: in sync, a packet begins where the one before ends; out of it,
    packets begin at the next sync byte that has two more behind it, or the stream's end."""
    out = bytearray()
    place = 0
    in_sync = False
    while place + PACKET <= len(data):
        if data[place] != SYNC:
            in_sync = False
        elif not in_sync:
            ahead = [data[place + step] for step in (PACKET, 2 * PACKET) if place + step < len(data)]
            in_sync = all(byte == SYNC for byte in ahead)
        if in_sync:
            out += data[place : place + PACKET]
            place += PACKET
        else:
            place += 1
    return bytes(out)


def runs(data, source, repeats):
    """Explains what a subscriber received of a source that was published over and over: as runs, a list of (start,
    end), places in the repeated source. Each run but the first begins with the tables and a keyframe."""
    found = []
    size = len(source.data)
    place = 0
    position = 0
    while place < len(data):
        if place > 0 or data[:PACKET] != source.data[:PACKET]:
            # The next keyframe, from where the run before ended, that explains most.
            best = None
            for point in source.access_points:
                tables = source.tables_at[point]
                if data[place : place + len(tables)] != tables:
                    continue
                candidate = position - position % size + point
                if candidate < position:
                    candidate += size
                packet = data[place + len(tables) : place + len(tables) + PACKET]
                if source.data[point : point + len(packet)] == packet and (best is None or candidate < best[0]):
                    best = (candidate, len(tables))
            assert best, f"nothing of the stream at {place}"
            position = best[0]
            place += best[1]
        start = position
        while place < len(data):
            offset = position % size
            count = min(len(data) - place, size - offset)
            if data[place : place + count] == source.data[offset : offset + count]:
                place += count
                position += count
                continue
            # The last packet in which they agree.
            while data[place : place + PACKET] == source.data[offset : offset + PACKET] and count >= PACKET:
                place += PACKET
                position += PACKET
                offset += PACKET
                count -= PACKET
            break
        assert position > start, f"no progress at {place}"
        found.append((start, position))
    assert position <= repeats * size
    return found
