namespace LsglangSharp.Runtime.Text.Patterns;

/// <summary>What an instruction of the matcher does.</summary>
internal enum Operation
{
    /// <summary>Take one character of Set.</summary>
    Set,

    /// <summary>Take First to Second characters of Set, as many as can be; give back one by one unless Flag.</summary>
    Run,

    /// <summary>Go on at First; if that fails, at Second.</summary>
    Split,

    /// <summary>Go on at First.</summary>
    Jump,

    /// <summary>Match what follows up to Accept, then go on at First; Flag: it must not match.</summary>
    LookAhead,

    /// <summary>The same for what ends here, First to Second characters back; goes on at Third.</summary>
    LookBehind,

    /// <summary>Match what follows up to Accept in one way only, then go on at First.</summary>
    Atomic,

    /// <summary>The condition (Place)First must hold.</summary>
    Place,

    /// <summary>Remember the place in slot First.</summary>
    Mark,

    /// <summary>Go on at Second if the place is the one in slot First: an empty round ends a loop.</summary>
    LeaveIfEmpty,

    /// <summary>The end of the pattern or of a part.</summary>
    Accept,
}

/// <summary>One step of the matcher.</summary>
internal readonly record struct Instruction(
    Operation Operation, CodePointSet? Set = null, int First = 0, int Second = 0, int Third = 0, bool Flag = false);

/// <summary>A regular expression as a list of instructions.</summary>
internal sealed class PatternProgram
{
    private const int LengthMax = 20_000;
    private readonly List<Instruction> _code = [];

    private PatternProgram()
    {
    }

    public Instruction[] Code { get; private set; } = [];

    public int SlotCount { get; private set; }

    public static PatternProgram Compile(string pattern)
    {
        var program = new PatternProgram();
        program.Emit(PatternParser.Parse(pattern));
        program.Add(new Instruction(Operation.Accept));
        program.Code = [.. program._code];
        return program;
    }

    private int Add(Instruction instruction)
    {
        if (_code.Count >= LengthMax)
        {
            throw new PatternException($"it is too large: more than {LengthMax} steps");
        }

        _code.Add(instruction);
        return _code.Count - 1;
    }

    private void Emit(PatternNode node)
    {
        switch (node)
        {
            case SetNode set:
                Add(new Instruction(Operation.Set, set.Set));
                break;
            case SequenceNode sequence:
                foreach (var part in sequence.Parts)
                {
                    Emit(part);
                }

                break;
            case AlternationNode alternation:
                EmitChoices(alternation.Parts);
                break;
            case RepeatNode repeat:
                EmitRepeat(repeat);
                break;
            case LookNode look:
                EmitLook(look);
                break;
            case AtomicNode atomic:
                EmitAtomic(atomic.Body);
                break;
            case PlaceNode place:
                Add(new Instruction(Operation.Place, First: (int)place.Place));
                break;
        }
    }

    private void EmitChoices(IReadOnlyList<PatternNode> choices)
    {
        var jumps = new List<int>();
        for (var i = 0; i < choices.Count - 1; i++)
        {
            var split = Add(default);
            Emit(choices[i]);
            jumps.Add(Add(default));
            _code[split] = new Instruction(Operation.Split, First: split + 1, Second: _code.Count);
        }

        Emit(choices[^1]);
        foreach (var jump in jumps)
        {
            _code[jump] = new Instruction(Operation.Jump, First: _code.Count);
        }
    }

    private void EmitRepeat(RepeatNode repeat)
    {
        if (repeat.Body is SetNode single && repeat.Greed != Greed.Lazy)
        {
            Add(new Instruction(
                Operation.Run, single.Set, repeat.Least, repeat.Most, Flag: repeat.Greed == Greed.Possessive));
            return;
        }

        if (repeat.Greed == Greed.Possessive)
        {
            EmitAtomic(repeat with { Greed = Greed.Greedy });
            return;
        }

        for (var i = 0; i < repeat.Least; i++)
        {
            Emit(repeat.Body);
        }

        if (repeat.Most == int.MaxValue)
        {
            EmitLoop(repeat);
            return;
        }

        var splits = new List<int>();
        for (var i = repeat.Least; i < repeat.Most; i++)
        {
            splits.Add(Add(default));
            Emit(repeat.Body);
        }

        foreach (var split in splits)
        {
            _code[split] = Choice(repeat.Greed, split + 1, _code.Count);
        }
    }

    private void EmitLoop(RepeatNode repeat)
    {
        var slot = SlotCount++;
        var split = Add(default);
        Add(new Instruction(Operation.Mark, First: slot));
        Emit(repeat.Body);
        var check = Add(default);
        Add(new Instruction(Operation.Jump, First: split));
        _code[split] = Choice(repeat.Greed, split + 1, _code.Count);
        _code[check] = new Instruction(Operation.LeaveIfEmpty, First: slot, Second: _code.Count);
    }

    private static Instruction Choice(Greed greed, int body, int exit) => greed == Greed.Lazy
        ? new Instruction(Operation.Split, First: exit, Second: body)
        : new Instruction(Operation.Split, First: body, Second: exit);

    private void EmitAtomic(PatternNode body)
    {
        var start = Add(default);
        Emit(body);
        Add(new Instruction(Operation.Accept));
        _code[start] = new Instruction(Operation.Atomic, First: _code.Count);
    }

    private void EmitLook(LookNode look)
    {
        var start = Add(default);
        Emit(look.Body);
        Add(new Instruction(Operation.Accept));
        if (!look.IsBehind)
        {
            _code[start] = new Instruction(Operation.LookAhead, First: _code.Count, Flag: look.IsNegative);
            return;
        }

        var (least, most) = Lengths(look.Body);
        _code[start] = most == int.MaxValue
            ? throw new PatternException("a look-behind has no longest length")
            : new Instruction(Operation.LookBehind, null, least, most, _code.Count, look.IsNegative);
    }

    // The fewest and most characters that a part takes; int.MaxValue without a most.
    private static (int Least, int Most) Lengths(PatternNode node)
    {
        switch (node)
        {
            case SetNode:
                return (1, 1);
            case SequenceNode sequence:
                var parts = sequence.Parts.Select(Lengths).ToArray();
                return (parts.Sum(part => part.Least), (int)Math.Min(int.MaxValue, parts.Sum(part => (long)part.Most)));
            case AlternationNode alternation:
                var choices = alternation.Parts.Select(Lengths).ToArray();
                return (choices.Min(choice => choice.Least), choices.Max(choice => choice.Most));
            case RepeatNode repeat:
                var (least, most) = Lengths(repeat.Body);
                return (least * repeat.Least, (int)Math.Min(int.MaxValue, (long)most * repeat.Most));
            case AtomicNode atomic:
                return Lengths(atomic.Body);
            default:
                return (0, 0);
        }
    }
}
