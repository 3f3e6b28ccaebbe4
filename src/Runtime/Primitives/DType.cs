namespace LsglangSharp.Runtime.Primitives;

/// <summary>The element types that tensors are stored in.</summary>
public enum DType
{
    F32,
    F16,
    BF16,
    I32,
}

/// <summary>What an element type costs.</summary>
public static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Bytes(this DType type) => type switch
    {
        DType.F32 or DType.I32 => 4,
        DType.F16 or DType.BF16 => 2,
        _ => throw new InvariantException($"unknown element type {type}"),
    };
}
