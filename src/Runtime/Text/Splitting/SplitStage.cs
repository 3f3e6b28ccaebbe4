using System.Text;

namespace LsglangSharp.Runtime.Text.Splitting;

/// <summary>What becomes of the matches of a split pattern.</summary>
internal enum SplitBehavior
{
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>Cuts at the matches of a pattern.</summary>
internal sealed class SplitStage(SplitScanner scanner, SplitBehavior behavior, bool invert) : PreTokenizer
{
    public override void Split(ReadOnlySpan<char> piece, bool isTextStart, PieceTarget target)
    {
        if (behavior == SplitBehavior.Isolated || behavior == SplitBehavior.Removed)
        {
            SplitDirectly(piece, isTextStart, target);
        }
        else
        {
            SplitMerging(piece, isTextStart, target);
        }
    }

    private void SplitDirectly(ReadOnlySpan<char> piece, bool isTextStart, PieceTarget target)
    {
        var keepsMatches = behavior == SplitBehavior.Isolated || invert;
        var keepsGaps = behavior == SplitBehavior.Isolated || !invert;
        var matches = new MatchFinder(scanner, piece.Length);
        var end = 0;
        while (matches.MoveNext(piece))
        {
            if (keepsGaps && matches.Start > end)
            {
                target.Accept(piece[end..matches.Start], isTextStart && end == 0);
            }

            if (keepsMatches && matches.End > matches.Start)
            {
                target.Accept(piece[matches.Start..matches.End], isTextStart && matches.Start == 0);
            }

            end = matches.End;
        }

        if (keepsGaps)
        {
            target.Accept(piece[end..], isTextStart && end == 0);
        }

        target.Scratch.Work += matches.Work;
    }

    private void SplitMerging(ReadOnlySpan<char> piece, bool isTextStart, PieceTarget target)
    {
        var parts = new List<Part>();
        var matches = new MatchFinder(scanner, piece.Length);
        var end = 0;
        while (matches.MoveNext(piece))
        {
            if (matches.Start > end)
            {
                parts.Add(new Part(end, matches.Start, invert));
            }

            parts.Add(new Part(matches.Start, matches.End, !invert));
            end = matches.End;
        }

        if (end < piece.Length)
        {
            parts.Add(new Part(end, piece.Length, invert));
        }

        target.Scratch.Work += matches.Work + parts.Count;
        foreach (var part in Merge(parts))
        {
            target.Accept(piece[part.Start..part.End], isTextStart && part.Start == 0);
        }
    }

    private List<Part> Merge(List<Part> parts)
    {
        var merged = new List<Part>();
        if (behavior == SplitBehavior.MergedWithNext)
        {
            parts.Reverse();
        }

        var wasMatch = false;
        foreach (var part in parts)
        {
            var joins = merged.Count > 0 && behavior switch
            {
                SplitBehavior.Contiguous => part.IsMatch == wasMatch,
                _ => part.IsMatch && !wasMatch,
            };
            if (joins)
            {
                var other = merged[^1];
                merged[^1] = other with
                {
                    Start = Math.Min(other.Start, part.Start),
                    End = Math.Max(other.End, part.End),
                };
            }
            else
            {
                merged.Add(part);
            }

            wasMatch = part.IsMatch;
        }

        if (behavior == SplitBehavior.MergedWithNext)
        {
            merged.Reverse();
        }

        return merged;
    }

    private readonly record struct Part(int Start, int End, bool IsMatch);

    // All matches from left to right; an empty one does not follow another directly.
    private struct MatchFinder(SplitScanner scanner, int length)
    {
        private readonly int _length = length;
        private int _position;

        public int Start { get; private set; }

        public int End { get; private set; } = -1;

        public long Work { get; private set; }

        public bool MoveNext(ReadOnlySpan<char> text)
        {
            while (_position <= _length)
            {
                var examined = _position;
                var end = _position < _length ? scanner.Match(text, _position, ref examined) : EmptyAtEnd(text);
                Work += examined - _position + 1;
                if (end > _position || end == _position && end != End)
                {
                    Start = _position;
                    End = end;
                    _position = end;
                    return true;
                }

                _position += _position < _length && char.IsHighSurrogate(text[_position]) ? 2 : 1;
            }

            return false;
        }

        // Only the general matcher can match nothing.
        private readonly int EmptyAtEnd(ReadOnlySpan<char> text)
        {
            var examined = 0;
            return scanner is Patterns.PatternScanner ? scanner.Match(text, _length, ref examined) : -1;
        }
    }
}
