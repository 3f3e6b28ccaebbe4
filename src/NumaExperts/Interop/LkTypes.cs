using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts.Interop;

/// <summary>lk_status.</summary>
internal enum LkStatus
{
    Ok = 0,
    InvalidArgument = 1,
    OutOfMemory = 2,
    Internal = 3,
    TimedOut = 4,
    PeerFault = 5,
}

/// <summary>lk_binding.</summary>
internal enum LkBinding
{
    CpuCore = 0,
    NumaNode = 1,
}

/// <summary>lk_scoring.</summary>
internal enum LkScoring
{
    Softmax = 0,
    Sigmoid = 1,
}

/// <summary>lk_part.</summary>
internal enum LkPart
{
    Gate = 0,
    Up = 1,
    Down = 2,
}

/// <summary>lk_dtype.</summary>
internal enum LkDType
{
    F32 = 0,
    F16 = 1,
    BF16 = 2,
    I32 = 3,
}

/// <summary>Element types as the C ABI numbers them.</summary>
internal static class LkDTypes
{
    public static LkDType ToLk(this DType type) => type switch
    {
        DType.F32 => LkDType.F32,
        DType.F16 => LkDType.F16,
        DType.BF16 => LkDType.BF16,
        DType.I32 => LkDType.I32,
        _ => throw new InvariantException($"lk_moe has no element type {type}"),
    };
}

/// <summary>struct lk_device_config. Layout asserted on both sides: AbiTests here, abi.cpp there.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LkDeviceConfig()
{
    public readonly uint StructSize = (uint)Unsafe.SizeOf<LkDeviceConfig>();
    public required int Threads;
    public required LkBinding Binding;
    public required int PowerSaving;
    public required int Interleave;
    public required int ExactGemm;
    public required int ParkMicros;
    public int Reserved;
    public required byte* Cores;
    public required byte* Root;
}

/// <summary>struct lk_experts_config.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LkExpertsConfig()
{
    public readonly uint StructSize = (uint)Unsafe.SizeOf<LkExpertsConfig>();
    public required LkDType Type;
    public required int Experts;
    public required int TopK;
    public required int Hidden;
    public required int Intermediate;
}

/// <summary>struct lk_slice.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LkSlice
{
    public nint Address;
    public int RowStart;
    public int RowCount;
    public int Rank;
    public int Node;
}

/// <summary>struct lk_tensor.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LkTensor
{
    public nint Data;
    public long RowStride;
    public int Rows;
    public int Columns;
    public LkDType Type;
    public int Reserved;
}

/// <summary>struct lk_router.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LkRouter
{
    public nint Correction;
    public nint LiveRows;
    public LkScoring Scoring;
    public int Renormalize;
    public int Groups;
    public int GroupsKept;
    public int GroupBest;
    public float Scale;
}

/// <summary>struct lk_kv_layer.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LkKvLayer
{
    public LkTensor Keys;
    public LkTensor Values;
    public int PageSize;
    public int KvHeads;
    public int HeadDim;
    public int Reserved;
}

/// <summary>struct lk_attention_batch.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LkAttentionBatch
{
    public nint QueryStarts;
    public nint ContextLengths;
    public nint PageTables;
    public long PageTableStride;
    public int Sequences;
    public int PagesPerSequence;
}

/// <summary>struct lk_mailbox_slot.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LkMailboxSlot
{
    public nint Request;
    public nint Done;
    public nint X;
    public nint Experts;
    public nint Weights;
    public nint Y;
}

/// <summary>struct lk_mailbox.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LkMailbox()
{
    public readonly uint StructSize = (uint)Unsafe.SizeOf<LkMailbox>();
    public required int Slots;
    public required int RowsMax;
    public required int Hidden;
    public required nint Fault;
    public required LkMailboxSlot* Slot;
}

/// <summary>struct lk_mailbox_request.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LkMailboxRequest
{
    public nint Bank;
    public int Slot;
    public int TopK;
}
