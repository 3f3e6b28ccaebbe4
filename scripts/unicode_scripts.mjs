// Writes src/Runtime/Text/Patterns/ScriptRanges.cs from the Unicode data of the running Node.js:
//   node scripts/unicode_scripts.mjs > src/Runtime/Text/Patterns/ScriptRanges.cs
const names = [
    'Arabic', 'Armenian', 'Bengali', 'Cyrillic', 'Devanagari', 'Georgian', 'Greek', 'Han', 'Hangul', 'Hebrew',
    'Hiragana', 'Katakana', 'Khmer', 'Lao', 'Latin', 'Myanmar', 'Tamil', 'Telugu', 'Thai', 'Tibetan',
];
const hex = code => code.toString(16).toUpperCase();
const LAST = 0x10FFFF;

function ranges(name) {
    const member = new RegExp(`^\\p{Script=${name}}$`, 'u');
    const found = [];
    let first = -1;
    for (let code = 0; code <= LAST + 1; code++) {
        const surrogate = code >= 0xD800 && code <= 0xDFFF;
        const inside = code <= LAST && !surrogate && member.test(String.fromCodePoint(code));
        if (inside && first < 0) first = code;
        if (!inside && first >= 0) {
            found.push(first === code - 1 ? hex(first) : `${hex(first)}-${hex(code - 1)}`);
            first = -1;
        }
    }
    return found;
}

function wrap(words) {
    const lines = [];
    let line = '';
    for (const word of words) {
        if (line.length + word.length > 85) {
            lines.push(line);
            line = '';
        }
        line += (line ? ' ' : '') + word;
    }
    return [...lines, line];
}

const entries = names.map(name => {
    const lines = wrap(ranges(name));
    const quoted = lines.map((line, i) => `            "${line}${i < lines.length - 1 ? ' " +' : '",'}`);
    return `        ["${name}"] =\n${quoted.join('\n')}\n`;
});
process.stdout.write(`// Written by scripts/unicode_scripts.mjs from Unicode ${process.versions.unicode}.
namespace LsglangSharp.Runtime.Text.Patterns;

/// <summary>Which characters belong to the scripts that split patterns name, as ranges of code points.</summary>
internal static class ScriptRanges
{
    public static readonly Dictionary<string, string> ByName = new(StringComparer.OrdinalIgnoreCase)
    {
${entries.join('')}    };
}
`);
