// Writes src/Runtime/Text/Normalization/UnicodeNormalization.txt from the Unicode data of the running Node.js:
//   node scripts/unicode_normalization.mjs > src/Runtime/Text/Normalization/UnicodeNormalization.txt
// Hangul syllables are computed by the reader and left out.
//   D code rest…               full canonical decomposition
//   K code rest…               full compatibility decomposition, where it differs from the canonical one
//   P first second composed    a pair that composes
//   M first last class         canonical combining class of a range of marks
const hex = code => code.toString(16).toUpperCase();
const points = text => Array.from(text, c => c.codePointAt(0));
const join = (...codes) => String.fromCodePoint(...codes);
const lines = [`# Unicode ${process.versions.unicode}`];
const all = [];
for (let code = 0; code <= 0x10FFFF; code++) {
    const surrogate = code >= 0xD800 && code <= 0xDFFF;
    const hangul = code >= 0xAC00 && code <= 0xD7A3;
    if (!surrogate && !hangul) all.push(code);
}

const pairs = [];
for (const code of all) {
    const text = join(code);
    const canonical = text.normalize('NFD');
    const compatible = text.normalize('NFKD');
    if (canonical !== text) {
        const full = points(canonical);
        lines.push(`D ${hex(code)} ${full.map(hex).join(' ')}`);
        const head = points(join(...full.slice(0, -1)).normalize('NFC'));
        if (full.length > 1 && head.length === 1 && text.normalize('NFC') === text) {
            pairs.push(`P ${hex(head[0])} ${hex(full.at(-1))} ${hex(code)}`);
        }
    }
    if (compatible !== canonical) lines.push(`K ${hex(code)} ${points(compatible).map(hex).join(' ')}`);
}
lines.push(...pairs);

// JavaScript does not tell the combining class; the order into which NFD brings two marks does. One mark of each class:
const representatives = [
    [1, 0x0334], [6, 0x16FF0], [7, 0x093C], [8, 0x3099], [9, 0x094D], [10, 0x05B0], [11, 0x05B1],
    [12, 0x05B2], [13, 0x05B3], [14, 0x05B4], [15, 0x05B5], [16, 0x05B6], [17, 0x05B7], [18, 0x05B8],
    [19, 0x05B9], [20, 0x05BB], [21, 0x05BC], [22, 0x05BD], [23, 0x05BF], [24, 0x05C1], [25, 0x05C2],
    [26, 0xFB1E], [27, 0x064B], [28, 0x064C], [29, 0x064D], [30, 0x0618], [31, 0x0619], [32, 0x061A],
    [33, 0x0651], [34, 0x0652], [35, 0x0670], [36, 0x0711], [84, 0x0C55], [91, 0x0C56], [103, 0x0E38],
    [107, 0x0E48], [118, 0x0EB8], [122, 0x0EC8], [129, 0x0F71], [130, 0x0F72], [132, 0x0F74], [202, 0x0321],
    [214, 0x1DCE], [216, 0x031B], [218, 0x1DFA], [220, 0x0316], [222, 0x059A], [224, 0x302E], [226, 0x1D16D],
    [228, 0x05AE], [230, 0x0300], [232, 0x0315], [233, 0x035C], [234, 0x035D], [240, 0x0345],
];
const swaps = (a, b) => join(a, b).normalize('NFD') !== join(a).normalize('NFD') + join(b).normalize('NFD');
const classOf = code => {
    // A starter goes neither behind the lowest class nor before the highest.
    if (!swaps(code, 0x0334) && !swaps(0x0345, code)) return 0;
    const same = representatives.filter(([, mark]) => !swaps(code, mark) && !swaps(mark, code));
    if (same.length !== 1) throw new Error(`combining class of ${hex(code)} is not known`);
    return same[0][0];
};

const isMark = /^\p{M}$/u;
const isSimple = code => join(code).normalize('NFD') === join(code);
const classes = all.filter(code => isMark.test(join(code)) && isSimple(code))
    .map(code => [code, classOf(code)]).filter(([, k]) => k > 0);
for (let i = 0; i < classes.length;) {
    let end = i;
    while (classes[end + 1]?.[0] === classes[end][0] + 1 && classes[end + 1][1] === classes[i][1]) end++;
    lines.push(`M ${hex(classes[i][0])} ${hex(classes[end][0])} ${classes[i][1]}`);
    i = end + 1;
}
console.log(lines.join('\n'));
