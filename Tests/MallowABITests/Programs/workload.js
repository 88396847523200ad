// What Node programs do with memory, printed so that two runs can be compared: JSON, buffers inside and outside of the
// JavaScript heap, streams through zlib, hashes, worker threads that pass buffers, and a child process.

const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");
const crypto = require("crypto");
const zlib = require("zlib");
const { execFileSync } = require("child_process");

const digest = (data) => crypto.createHash("sha256").update(data).digest("hex").slice(0, 16);

function buffers(seed) {
    let kept = [];
    let state = BigInt(seed + 1);
    for (let i = 0; i < 20000; i++) {
        state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
        const size = Number(state >> 50n);
        kept.push(Buffer.alloc(size, i & 255));
        if (kept.length > 500) kept = kept.filter((_, index) => index % 3 !== i % 3);
    }
    return digest(Buffer.concat(kept));
}

if (!isMainThread) {
    parentPort.on("message", (buffer) => {
        const bytes = new Uint8Array(buffer);
        for (let i = 0; i < bytes.length; i++) bytes[i] = (bytes[i] + workerData) & 255;
        parentPort.postMessage({ buffer, digest: buffers(workerData) }, [buffer]);
        parentPort.close();
    });
} else {
    const rows = Array.from({ length: 30000 }, (_, i) => ({ id: i, text: "r".repeat(i % 60), list: [i, i / 2, String(i)] }));
    const text = JSON.stringify(rows);
    console.log(text.length, digest(text), JSON.parse(text).length);
    console.log(digest(text.replace(/"id":(\d+)/g, (_, id) => id.split("").reverse().join(""))));
    const packed = [zlib.gzipSync(text), zlib.deflateRawSync(text, { level: 9 }), zlib.brotliCompressSync(text.slice(0, 200000))];
    console.log(packed.map((each) => each.length), zlib.gunzipSync(packed[0]).equals(Buffer.from(text)));
    const map = new Map();
    for (let i = 0; i < 300000; i++) map.set(`key ${(i * 7919) % 50021}`, i);
    console.log(map.size, digest([...map.entries()].join()));
    console.log(execFileSync(process.execPath, ["-e", "console.log(Buffer.alloc(5000000, 7).length)"]).toString().trim());
    const run = (number) =>
        new Promise((resolve, reject) => {
            const worker = new Worker(__filename, { workerData: number });
            worker.on("message", resolve);
            worker.on("error", reject);
            const buffer = new ArrayBuffer(100000 * number);
            worker.postMessage(buffer, [buffer]);
        });
    Promise.all([1, 2, 3, 4].map(run)).then((results) => {
        for (const { buffer, digest: theirs } of results) console.log(theirs, digest(new Uint8Array(buffer)));
        process.exitCode = 7;
    });
}
