// Encodes files as the benchmark asks for them: node peer.mjs FOLDER, then one line a text: how often, and its path.
// Answers each with one line of JSON: milliseconds of the encoding alone by the clock and of CPU time, number of ids, and
// a hash of them.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';

const folder = process.argv[2];
const read = name => JSON.parse(readFileSync(join(folder, name), 'utf8'));
const start = performance.now();
const tokenizer = new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
console.log(JSON.stringify({ milliseconds: performance.now() - start, cpu: 0, count: 0, hash: 0 }));

for await (const line of createInterface({ input: process.stdin })) {
    const [, repeats, path] = line.match(/^(\d+) (.*)$/);
    const text = readFileSync(path, 'utf8');
    const before = performance.now();
    const cpuBefore = process.cpuUsage();
    let ids;
    for (let i = 0; i < Number(repeats); i++) ({ ids } = tokenizer.encode(text, { add_special_tokens: false }));
    const cpuUsed = process.cpuUsage(cpuBefore);
    const milliseconds = performance.now() - before;
    let hash = 0;
    for (const id of ids) hash = Math.imul(hash, 31) + id | 0;
    console.log(JSON.stringify({ milliseconds, cpu: (cpuUsed.user + cpuUsed.system) / 1000, count: ids.length, hash }));
}
