namespace LsglangSharp.Runtime.Primitives;

/// <summary>The element types that tensors are stored in.</summary>
public enum DType
{
    F32,
    F16,
    BF16,
    I32,

    /// <summary>OCP FP8 E4M3FN: keys and values only.</summary>
    F8E4M3,
}

/// <summary>What an element type costs.</summary>
public static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Bytes(this DType type) => type switch
    {
        DType.F32 or DType.I32 => 4,
        DType.F16 or DType.BF16 => 2,
        DType.F8E4M3 => 1,
        _ => throw new InvariantException($"unknown element type {type}"),
    };
}
