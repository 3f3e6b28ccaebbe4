using LsglangSharp.Runtime.Text.Splitting;

namespace LsglangSharp.Runtime.Text.Patterns;

/// <summary>
/// Matches any supported regular expression by backtracking, over code points. The general path: the split patterns of
/// well-known tokenizers have scanners of their own.
/// </summary>
internal sealed class PatternScanner : SplitScanner
{
    private readonly PatternProgram _program;

    public PatternScanner(string pattern) => _program = PatternProgram.Compile(pattern);

    public override int Match(ReadOnlySpan<char> text, int start, ref int examined)
    {
        var matcher = new Matcher(_program, text);
        var end = matcher.Run(0, start);
        examined = (int)Math.Clamp(start + matcher.Steps, examined, int.MaxValue);
        return end;
    }

    // Where to go on when what follows fails: an instruction and a place, from which a run may give back down to Least.
    // A negative code is the complement of a slot that gets Position back.
    private readonly record struct Retry(int Code, int Position, int Least);

    private ref struct Matcher(PatternProgram program, ReadOnlySpan<char> text)
    {
        private readonly ReadOnlySpan<char> _text = text;
        private readonly Instruction[] _code = program.Code;
        private readonly int[] _slots = program.SlotCount == 0 ? [] : new int[program.SlotCount];
        private Retry[] _retries = [];
        private int _retryCount;

        public long Steps { get; private set; }

        // The end of the match of the part that starts at an instruction, or -1.
        public int Run(int code, int position)
        {
            var bottom = _retryCount;
            while (true)
            {
                Steps++;
                ref readonly var step = ref _code[code];
                if (step.Operation == Operation.Accept)
                {
                    _retryCount = bottom;
                    return position;
                }

                if (!TryStep(step, ref code, ref position) && !TryRetry(bottom, ref code, ref position))
                {
                    return -1;
                }
            }
        }

        private bool TryStep(in Instruction step, ref int code, ref int position)
        {
            switch (step.Operation)
            {
                case Operation.Set:
                    if (position >= _text.Length || !step.Set!.ContainsAt(_text, position, out var length))
                    {
                        return false;
                    }

                    position += length;
                    code++;
                    return true;
                case Operation.Run:
                    return TryRun(step, ref code, ref position);
                case Operation.Split:
                    Push(new Retry(step.Second, position, -1));
                    code = step.First;
                    return true;
                case Operation.Jump:
                    code = step.First;
                    return true;
                case Operation.LookAhead:
                    return Continue(Run(code + 1, position) >= 0 != step.Flag, step.First, ref code);
                case Operation.LookBehind:
                    return Continue(IsBehind(step, code + 1, position) != step.Flag, step.Third, ref code);
                case Operation.Atomic:
                    var end = Run(code + 1, position);
                    position = Math.Max(end, position);
                    return Continue(end >= 0, step.First, ref code);
                case Operation.Place:
                    return Continue(Holds((Place)step.First, position), code + 1, ref code);
                case Operation.Mark:
                    Push(new Retry(~step.First, _slots[step.First], -1));
                    _slots[step.First] = position;
                    code++;
                    return true;
                default:
                    code = _slots[step.First] == position ? step.Second : code + 1;
                    return true;
            }
        }

        private static bool Continue(bool holds, int next, ref int code)
        {
            code = holds ? next : code;
            return holds;
        }

        private bool TryRun(in Instruction step, ref int code, ref int position)
        {
            var count = 0;
            var least = position;
            var end = position;
            while (count < step.Second && end < _text.Length && step.Set!.ContainsAt(_text, end, out var length))
            {
                end += length;
                count++;
                least = count == step.First ? end : least;
            }

            Steps += count;
            if (count < step.First)
            {
                return false;
            }

            code++;
            position = end;
            if (!step.Flag && end > least)
            {
                Push(new Retry(code, end, least));
            }

            return true;
        }

        private bool TryRetry(int bottom, ref int code, ref int position)
        {
            while (_retryCount > bottom)
            {
                var retry = _retries[--_retryCount];
                if (retry.Code < 0)
                {
                    _slots[~retry.Code] = retry.Position;
                    continue;
                }

                code = retry.Code;
                position = retry.Position;
                if (retry.Least >= 0)
                {
                    position = Before(position);
                    if (position > retry.Least)
                    {
                        Push(retry with { Position = position });
                    }
                }

                return true;
            }

            return false;
        }

        private bool IsBehind(in Instruction step, int body, int position)
        {
            var start = position;
            for (var count = 0; count <= step.Second; count++)
            {
                if (count >= step.First && Run(body, start) == position)
                {
                    return true;
                }

                if (start == 0)
                {
                    return false;
                }

                start = Before(start);
            }

            return false;
        }

        private readonly bool Holds(Place place, int position) => place switch
        {
            Place.TextStart => position == 0,
            Place.TextEnd => position == _text.Length,
            Place.TextEndOrLastNewLine => position == _text.Length
                || position == _text.Length - 1 && _text[position] == '\n',
            Place.LineStart => position == 0 || _text[position - 1] == '\n' && position < _text.Length,
            Place.LineEnd => position == _text.Length || _text[position] == '\n',
            Place.WordBoundary => IsWordBefore(position) != IsWordAt(position),
            _ => IsWordBefore(position) == IsWordAt(position),
        };

        private readonly bool IsWordAt(int position) =>
            position < _text.Length && Words.Set.ContainsAt(_text, position, out _);

        private readonly bool IsWordBefore(int position) => position > 0 && IsWordAt(Before(position));

        private readonly int Before(int position) =>
            position > 1 && char.IsLowSurrogate(_text[position - 1]) && char.IsHighSurrogate(_text[position - 2])
                ? position - 2
                : position - 1;

        private void Push(Retry retry)
        {
            if (_retryCount == _retries.Length)
            {
                Array.Resize(ref _retries, Math.Max(16, _retryCount * 2));
            }

            _retries[_retryCount++] = retry;
        }
    }

    private static class Words
    {
        public static readonly CodePointSet Set = CharacterProperties.Word;
    }
}
