using System.Runtime.InteropServices;

namespace LsglangSharp.NumaExperts.Interop;

/// <summary>lk_moe.h, line for line. Only declarations; the handles are the way in.</summary>
internal static unsafe partial class LkMoe
{
    /// <summary>LK_ABI_VERSION.</summary>
    public const uint AbiVersionExpected = 2;

    private const string Library = "lk_moe";

    [LibraryImport(Library, EntryPoint = "lk_abi_version")]
    public static partial uint AbiVersion();

    [LibraryImport(Library, EntryPoint = "lk_last_error")]
    public static partial byte* LastError();

    [LibraryImport(Library, EntryPoint = "lk_topology_describe")]
    public static partial LkStatus TopologyDescribe(byte* root, byte* text, uint capacity, out uint length);

    [LibraryImport(Library, EntryPoint = "lk_memory_available")]
    public static partial LkStatus MemoryAvailable(out ulong bytes);

    [LibraryImport(Library, EntryPoint = "lk_device_create")]
    public static partial LkStatus DeviceCreate(in LkDeviceConfig config, out DeviceHandle device);

    [LibraryImport(Library, EntryPoint = "lk_device_destroy")]
    public static partial void DeviceDestroy(nint device);

    [LibraryImport(Library, EntryPoint = "lk_device_describe")]
    public static partial LkStatus DeviceDescribe(DeviceHandle device, out byte* text);

    [LibraryImport(Library, EntryPoint = "lk_device_attach")]
    public static partial LkStatus DeviceAttach(DeviceHandle device);

    [LibraryImport(Library, EntryPoint = "lk_device_parked")]
    public static partial LkStatus DeviceParked(DeviceHandle device, out int workers);

    [LibraryImport(Library, EntryPoint = "lk_bandwidth")]
    public static partial LkStatus Bandwidth(
        DeviceHandle device, int millis, double* rates, int capacity, out int ranks);

    [LibraryImport(Library, EntryPoint = "lk_buffer_create")]
    public static partial LkStatus BufferCreate(
        DeviceHandle device, ulong bytes, out BufferHandle buffer, out nint address);

    [LibraryImport(Library, EntryPoint = "lk_buffer_destroy")]
    public static partial void BufferDestroy(nint buffer);

    [LibraryImport(Library, EntryPoint = "lk_matrix_create")]
    public static partial LkStatus MatrixCreate(
        DeviceHandle device, LkDType type, int rows, int columns, out MatrixHandle matrix);

    [LibraryImport(Library, EntryPoint = "lk_matrix_destroy")]
    public static partial void MatrixDestroy(nint matrix);

    [LibraryImport(Library, EntryPoint = "lk_matrix_slice_count")]
    public static partial LkStatus MatrixSliceCount(MatrixHandle matrix, out int count);

    [LibraryImport(Library, EntryPoint = "lk_matrix_slice")]
    public static partial LkStatus MatrixSlice(MatrixHandle matrix, int index, out LkSlice slice);

    [LibraryImport(Library, EntryPoint = "lk_experts_create")]
    public static partial LkStatus ExpertsCreate(
        DeviceHandle device, in LkExpertsConfig config, out ExpertsHandle experts);

    [LibraryImport(Library, EntryPoint = "lk_experts_destroy")]
    public static partial void ExpertsDestroy(nint experts);

    [LibraryImport(Library, EntryPoint = "lk_experts_slice_count")]
    public static partial LkStatus ExpertsSliceCount(ExpertsHandle experts, LkPart part, out int count);

    [LibraryImport(Library, EntryPoint = "lk_experts_slice")]
    public static partial LkStatus ExpertsSlice(
        ExpertsHandle experts, int expert, LkPart part, int index, out LkSlice slice);

    [LibraryImport(Library, EntryPoint = "lk_embed")]
    public static partial LkStatus Embed(DeviceHandle device, MatrixHandle table, nint ids, in LkTensor y);

    [LibraryImport(Library, EntryPoint = "lk_rms_norm")]
    public static partial LkStatus RmsNorm(
        DeviceHandle device, in LkTensor x, nint weight, int width, float epsilon, in LkTensor y);

    [LibraryImport(Library, EntryPoint = "lk_linear")]
    public static partial LkStatus Linear(
        DeviceHandle device, in LkTensor x, MatrixHandle w, nint bias, in LkTensor y, int accumulate);

    [LibraryImport(Library, EntryPoint = "lk_rotary_angles")]
    public static partial LkStatus RotaryAngles(
        DeviceHandle device, nint positions, nint frequencies, float scale, in LkTensor cosSin);

    [LibraryImport(Library, EntryPoint = "lk_rotate")]
    public static partial LkStatus Rotate(
        DeviceHandle device, in LkTensor x, int headDim, in LkTensor cosSin, int interleaved);

    [LibraryImport(Library, EntryPoint = "lk_write_kv")]
    public static partial LkStatus WriteKv(
        DeviceHandle device, in LkTensor k, in LkTensor v, in LkKvLayer cache, nint slots);

    [LibraryImport(Library, EntryPoint = "lk_attention")]
    public static partial LkStatus Attention(
        DeviceHandle device,
        in LkTensor q,
        in LkKvLayer cache,
        in LkAttentionBatch batch,
        float scale,
        int window,
        nint sinks,
        in LkTensor y);

    [LibraryImport(Library, EntryPoint = "lk_gated_mlp")]
    public static partial LkStatus GatedMlp(
        DeviceHandle device, in LkTensor x, MatrixHandle gate, MatrixHandle up, MatrixHandle down, in LkTensor y);

    [LibraryImport(Library, EntryPoint = "lk_route")]
    public static partial LkStatus Route(
        DeviceHandle device,
        in LkTensor x,
        MatrixHandle gate,
        in LkRouter router,
        in LkTensor experts,
        in LkTensor weights);

    [LibraryImport(Library, EntryPoint = "lk_gather_rows")]
    public static partial LkStatus GatherRows(DeviceHandle device, in LkTensor x, nint rows, in LkTensor y);

    [LibraryImport(Library, EntryPoint = "lk_argmax")]
    public static partial LkStatus Argmax(DeviceHandle device, in LkTensor x, nint indices);

    [LibraryImport(Library, EntryPoint = "lk_add")]
    public static partial LkStatus Add(DeviceHandle device, in LkTensor x, in LkTensor y);

    [LibraryImport(Library, EntryPoint = "lk_moe")]
    public static partial LkStatus Moe(
        DeviceHandle device,
        ExpertsHandle bank,
        in LkTensor x,
        in LkTensor experts,
        in LkTensor weights,
        in LkTensor y);

    [LibraryImport(Library, EntryPoint = "lk_mailbox_serve")]
    public static partial LkStatus MailboxServe(
        DeviceHandle device,
        in LkMailbox mailbox,
        LkMailboxRequest* requests,
        int count,
        int rows,
        long timeoutMicros,
        out int served);
}
