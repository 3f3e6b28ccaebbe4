using System.Text;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Runtime.Tests.Sampling;

public sealed class StopMatcherTests
{
    [Theory]
    [InlineData("abcdef", "cd", "ab", "cd")]
    [InlineData("aaab", "aab", "a", "aab")]
    [InlineData("ababac", "abac", "ab", "abac")]
    [InlineData("xabcd", "abcd|bc", "xa", "bc")]
    [InlineData("xabc", "c|bc|abc", "x", "abc")]
    [InlineData("no match", "zz", "no match", null)]
    [InlineData("ends with st", "stop", "ends with st", null)]
    [InlineData("stop", "stop", "", "stop")]
    [InlineData("a🙂b", "🙂", "a", "🙂")]
    public void Finds_the_match_that_is_complete_first_wherever_the_pieces_end(
        string text, string stops, string expected, string? matched)
    {
        for (var size = 1; size <= text.Length; size++)
        {
            var matcher = new StopMatcher(stops.Split('|'));

            var shown = Run(matcher, text, size);

            Assert.Equal(expected, shown);
            Assert.Equal(matched, matcher.Matched);
        }
    }

    [Fact]
    public void Shows_at_once_what_cannot_become_a_stop_string_and_nothing_else()
    {
        var matcher = new StopMatcher(["</end>"]);

        Assert.Equal("a ", matcher.Push("a <"));
        Assert.Equal("", matcher.Push("/en"));
        Assert.Equal("</en", matcher.Held);
        Assert.Equal("</en</x", matcher.Push("</x"));
        Assert.Equal("", matcher.Flush());
    }

    [Fact]
    public void Keeps_the_stop_string_when_asked_to()
    {
        var matcher = new StopMatcher(["END"]);

        Assert.Equal("text END", matcher.Push("text END and more", keepStop: true));
        Assert.Equal("", matcher.Flush());
    }

    [Fact]
    public void Agrees_with_a_search_of_the_whole_text()
    {
        var random = new Random(11);
        for (var round = 0; round < 20_000; round++)
        {
            var text = Word(random, 1, 24);
            var stops = Enumerable.Range(0, random.Next(1, 4)).Select(_ => Word(random, 1, 5)).ToArray();
            var matcher = new StopMatcher(stops);

            var shown = Run(matcher, text, random.Next(1, 5));

            var (expected, matched) = Search(text, stops);
            Assert.True(
                expected == shown && matched == matcher.Matched, $"'{text}' with {string.Join('|', stops)}: '{shown}'");
        }
    }

    private static string Run(StopMatcher matcher, string text, int size)
    {
        var shown = new StringBuilder();
        for (var start = 0; start < text.Length && matcher.Matched is null; start += size)
        {
            shown.Append(matcher.Push(text.Substring(start, Math.Min(size, text.Length - start))));
        }

        return shown.Append(matcher.Flush()).ToString();
    }

    private static (string Text, string? Matched) Search(string text, string[] stops)
    {
        for (var end = 1; end <= text.Length; end++)
        {
            var found = stops.Where(stop => text.AsSpan(0, end).EndsWith(stop, StringComparison.Ordinal)).MaxBy(s => s.Length);
            if (found is not null)
            {
                return (text[..(end - found.Length)], found);
            }
        }

        return (text, null);
    }

    private static string Word(Random random, int least, int most) =>
        string.Concat(Enumerable.Range(0, random.Next(least, most)).Select(_ => "ab"[random.Next(2)]));
}
