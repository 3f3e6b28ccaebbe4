namespace LsglangSharp.Runtime.Text.Patterns;

/// <summary>How a repetition treats what it took.</summary>
internal enum Greed
{
    Greedy,
    Lazy,
    Possessive,
}

/// <summary>Conditions on a place.</summary>
internal enum Place
{
    TextStart,
    TextEnd,
    TextEndOrLastNewLine,
    LineStart,
    LineEnd,
    WordBoundary,
    NotWordBoundary,
}

/// <summary>A part of a regular expression.</summary>
internal abstract record PatternNode;

/// <summary>One character of a set.</summary>
internal sealed record SetNode(CodePointSet Set) : PatternNode;

/// <summary>One part after the other.</summary>
internal sealed record SequenceNode(IReadOnlyList<PatternNode> Parts) : PatternNode;

/// <summary>The first part that lets the rest match.</summary>
internal sealed record AlternationNode(IReadOnlyList<PatternNode> Parts) : PatternNode;

/// <summary>A part several times; without a most, Most is int.MaxValue.</summary>
internal sealed record RepeatNode(PatternNode Body, int Least, int Most, Greed Greed) : PatternNode;

/// <summary>A condition on what lies ahead or behind.</summary>
internal sealed record LookNode(PatternNode Body, bool IsBehind, bool IsNegative) : PatternNode;

/// <summary>A part that is not tried in another way once it matched.</summary>
internal sealed record AtomicNode(PatternNode Body) : PatternNode;

/// <summary>A condition on the place.</summary>
internal sealed record PlaceNode(Place Place) : PatternNode;
