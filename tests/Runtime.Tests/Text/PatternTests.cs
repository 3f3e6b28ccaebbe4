using System.Text.Json;
using System.Text.RegularExpressions;
using LsglangSharp.Runtime.Text.Patterns;
using LsglangSharp.Runtime.Text.Splitting;

namespace LsglangSharp.Runtime.Tests.Text;

public class PatternTests
{
    // All matches from left to right, as "match" or "" for empty ones.
    private static List<string> Matches(SplitScanner scanner, string text)
    {
        var found = new List<string>();
        for (var i = 0; i < text.Length;)
        {
            var examined = 0;
            var end = scanner.Match(text, i, ref examined);
            if (end > i)
            {
                found.Add(text[i..end]);
                i = end;
            }
            else
            {
                i += char.IsHighSurrogate(text[i]) ? 2 : 1;
            }
        }

        return found;
    }

    [Theory]
    [InlineData("a|ab", "abab", "a|a")]
    [InlineData("ab|a", "aba", "ab|a")]
    [InlineData("a*?b", "aab", "aab")]
    [InlineData("a+?", "aaa", "a|a|a")]
    [InlineData("a++a", "aaa", "")]
    [InlineData("(?>a+)b", "aab", "aab")]
    [InlineData("(?:ab){2}", "ababab", "abab")]
    [InlineData("(?:ab){1,2}?", "abab", "ab|ab")]
    [InlineData("(?:ab)*c", "ababc", "ababc")]
    [InlineData("(?:a|b)*+b", "abab", "")]
    [InlineData("(?:a*)*b", "aaab", "aaab")]
    [InlineData("x{2,}", "xxxx x", "xxxx")]
    [InlineData("x{,2}", "xxx", "xx|x")]
    [InlineData("x{a}", "x{a}", "x{a}")]
    [InlineData(@"\s+(?!\S)", "a   b", "  ")]
    [InlineData(@"(?<=a)b", "abcb", "b")]
    [InlineData(@"(?<!a)b", "abcb", "b")]
    [InlineData(@"(?<=\x{1F600}|ab)c|(?<=x{1,2})y", "xxyabc", "y|c")]
    [InlineData(@"\bcat\b", "cat concat cat", "cat|cat")]
    [InlineData(@"\Ba", "aaa b", "a|a")]
    [InlineData("^a", "a\na a", "a|a")]
    [InlineData("a$", "aa\na", "a|a")]
    [InlineData(@"\Aa|b\z", "aab", "a|b")]
    [InlineData(@"b\Z", "b\nb\n", "b")]
    [InlineData("a.", "ab\na\n", "ab")]
    [InlineData("(?m:a.)", "a\n", "a\n")]
    [InlineData("(?i)ab(?-i)c", "ABc ABC", "ABc")]
    [InlineData("(?i:s)+", "sSſ", "sSſ")]
    [InlineData("(?i:k)+", "kK\u212A", "kK\u212A")]
    [InlineData("(?i:[à-ë])+", "ÀéË", "ÀéË")]
    [InlineData(@"\p{L}+", "aé字\U00020000\U0001F600", "aé字\U00020000")]
    [InlineData(@"[^\p{L}]", "a\U0001F600b", "\U0001F600")]
    [InlineData(@"\P{L}|\p{^L}", "a1", "1")]
    [InlineData(@"\p{Lu}\p{Ll}", "aBc", "Bc")]
    [InlineData(@"\p{Uppercase_Letter}", "aB", "B")]
    [InlineData(@"\p{Han}+", "a字々b", "字々")]
    [InlineData(@"\p{Script=Greek}+", "aαβ", "αβ")]
    [InlineData(@"[\p{L}&&[^a-c]]+", "abcde", "de")]
    [InlineData(@"[a-f&&c-z]+", "abcdefg", "cdef")]
    [InlineData(@"[[a-c][x-z]]+", "abxyd", "abxy")]
    [InlineData(@"[[:alpha:]]+", "aé1", "aé")]
    [InlineData(@"[[:^alpha:]]+", "aé1", "1")]
    [InlineData(@"[]a]+", "]a[", "]a")]
    [InlineData(@"[a\-z\]\\]+", "a-]z\\b", "a-]z\\")]
    [InlineData(@"[\x41-\x{43}\u0044]+", "ABCDE", "ABCD")]
    [InlineData(@"[-a]+|[b-]+", "a-b-", "a-|b-")]
    [InlineData(@"\d\w\s\h\S\W\D\H", "1_ fA-xg", "1_ fA-xg")]
    [InlineData(@"a(?#note)b", "ab", "ab")]
    [InlineData(@"\t\r\n\f\v\a\e\0", "\t\r\n\f\v\a\u001b\0", "\t\r\n\f\v\a\u001b\0")]
    public void Matches_as_the_syntax_says(string pattern, string text, string expected) =>
        Assert.Equal(expected, string.Join('|', Matches(new PatternScanner(pattern), text)));

    [Theory]
    [InlineData("(")]
    [InlineData(")")]
    [InlineData("[a")]
    [InlineData("*a")]
    [InlineData("a{3,2}")]
    [InlineData(@"\p{Nonsense}")]
    [InlineData(@"\p{L")]
    [InlineData(@"(a)\1")]
    [InlineData("(?<name>a)")]
    [InlineData("(?x)a")]
    [InlineData(@"\q")]
    [InlineData("[z-a]")]
    [InlineData(@"[a-\d]")]
    [InlineData(@"\x{110000}")]
    [InlineData("(?<=a+)b")]
    [InlineData("[[:nonsense:]]")]
    [InlineData("(?:(?:(?:a{1000}b){1000}c){1000}d){1000}")]
    [InlineData("\\")]
    public void Refuses_what_it_does_not_support(string pattern) =>
        Assert.Throws<PatternException>(() => new PatternScanner(pattern));

    [Fact]
    public void Deep_nesting_is_refused_without_a_crash()
    {
        Assert.Throws<PatternException>(() => new PatternScanner(new string('(', 100_000)));
        Assert.Throws<PatternException>(() => new PatternScanner(new string('[', 100_000)));
    }

    [Fact]
    public void Random_patterns_match_as_the_base_library_does()
    {
        var random = new Random(6);
        var compared = 0;
        for (var round = 0; round < 3000; round++)
        {
            var pattern = RandomPattern(random, 3);
            var text = string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => "abc "[random.Next(4)]));
            var expected = new Regex(@"\G(?:" + pattern + ")", RegexOptions.CultureInvariant, TimeSpan.FromSeconds(5));
            var scanner = new PatternScanner(pattern);
            for (var start = 0; start <= text.Length; start++)
            {
                var examined = 0;
                var match = expected.Match(text, start);
                var end = scanner.Match(text, start, ref examined);
                Assert.True(
                    end == (match.Success ? match.Index + match.Length : -1),
                    $"/{pattern}/ in '{text}' at {start}: {end}, not {match}");
                compared++;
            }
        }

        Assert.True(compared > 10_000);
    }

    [Fact]
    public void Known_patterns_match_as_the_general_matcher_does()
    {
        foreach (var (pattern, scanner) in KnownPatterns.Scanners)
        {
            var general = new PatternScanner(pattern);
            foreach (var text in SampleTexts.Random(seed: 7, count: 3000))
            {
                for (var start = 0; start < text.Length; start += char.IsHighSurrogate(text[start]) ? 2 : 1)
                {
                    var examined = 0;
                    var expected = general.Match(text, start, ref examined);
                    var actual = scanner.Match(text, start, ref examined);
                    Assert.True(
                        expected == actual,
                        $"/{pattern}/ in {JsonSerializer.Serialize(text)} at {start}: {actual}, not {expected}");
                }
            }
        }
    }

    private static string RandomPattern(Random random, int depth) => random.Next(depth == 0 ? 4 : 10) switch
    {
        0 => "a",
        1 => "b",
        2 => "[ab]",
        3 => @"\s",
        4 => RandomPattern(random, depth - 1) + RandomPattern(random, depth - 1),
        5 => $"(?:{RandomPattern(random, depth - 1)}|{RandomPattern(random, depth - 1)})",
        6 => $"(?:{RandomPattern(random, depth - 1)}){"*+?"[random.Next(3)]}{(random.Next(3) == 0 ? "?" : "")}",
        7 => $"(?:{RandomPattern(random, depth - 1)}){{{random.Next(2)},{1 + random.Next(3)}}}",
        8 => $"(?{"=!"[random.Next(2)]}{RandomPattern(random, depth - 1)})",
        _ => $"(?>{RandomPattern(random, depth - 1)})",
    };
}
