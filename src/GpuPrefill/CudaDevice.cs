using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>One GPU: everything of a model, or what a hybrid leaves to it.</summary>
public sealed class CudaDevice : IDevice, IMailboxDevice
{
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly KernelSet _kernels;
    private readonly CudaMemory _memory;
    private readonly List<CudaMailbox> _mailboxes = [];

    /// <summary>
    /// Opens the device and compiles its kernels. Throws <see cref="ConfigurationException"/> where there is no such device,
    /// the driver or the device is too old, or this build has no kernels.
    /// </summary>
    public CudaDevice(CudaDeviceOptions options)
    {
        Options = options;
        _context = new CudaContext(options.DeviceIndex);
        try
        {
            Description = GpuDescription.Of(_context);
            _kernels = new KernelSet(_context);
            _stream = new CudaStream(_context, isUrgent: true);
            _memory = new CudaMemory(_context, _stream, options);
            Scratch = new CudaScratch(_memory);
            RouterScratch = new CudaScratch(_memory);
            Ops = new CudaOps(this);
            Experts = new CudaExperts(this);
            Recorder = new CudaRecorder(this);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string Name => "cuda";

    public DType ActivationType => DType.F32;

    public CudaDeviceOptions Options { get; }

    /// <summary>The GPU when it was opened.</summary>
    public GpuDescription Description { get; }

    public IDeviceMemory Memory => _memory;

    public IDeviceOps Ops { get; }

    public IExperts Experts { get; }

    public IRecorder Recorder { get; }

    /// <summary>Null for vocabularies that the kernels do not take.</summary>
    public IChooser? NewChooser(int vocabulary, int rowsMax) =>
        vocabulary <= Sampling.VocabularyMax ? new CudaChooser(this, vocabulary, rowsMax) : null;

    /// <summary>Bytes of device memory that tensors and weights have taken.</summary>
    public long BytesAllocated => _memory.BytesAllocated;

    /// <summary>Bytes of page-locked RAM that copies to the device and back go through now.</summary>
    public long PinnedBytes => _memory.PinnedBytes;

    internal CudaContext Context => _context;

    internal KernelSet Kernels => _kernels;

    internal CudaMemory DeviceMemory => _memory;

    internal CudaScratch Scratch { get; } = null!;

    /// <summary>The logits of routers, which are made by an operation that takes scratch itself.</summary>
    internal CudaScratch RouterScratch { get; } = null!;

    /// <summary>Where operations go. What is enqueued through it finds all weights that have been filled in place.</summary>
    internal CudaStream Stream
    {
        get
        {
            _memory.Staging.Join(_stream);
            return _stream;
        }
    }

    /// <summary>What <see cref="PinnedBytes"/> will be after <see cref="FinishLoading"/>.</summary>
    public static long PinnedBytesFor(long readBytesMax) => UploadRing.Bytes + readBytesMax;

    /// <summary>
    /// Gives the page-locked memory back that weights came through, and takes all that steps will need: after loading, before
    /// anything is recorded and before serving.
    /// </summary>
    /// <param name="readBytesMax">The most bytes that one step brings back.</param>
    /// <param name="routerBytes">What routers need for the scores of the largest step.</param>
    public void FinishLoading(long readBytesMax, long routerBytes = 0)
    {
        _memory.Staging.Join(_stream);
        _memory.Staging.Release();
        _memory.ReserveReads(Math.Max(1, readBytesMax));
        RouterScratch.Reserve(Stream, routerBytes);
    }

    /// <summary>As much as float16 weights need, which need most. See <see cref="ScratchBytes"/>.</summary>
    public void Reserve(int rows, int inner) => Scratch.Reserve(Stream, ReserveBytes(rows, inner));

    /// <summary>What <see cref="Reserve"/> takes.</summary>
    public static long ReserveBytes(int rows, int inner) => ScratchBytes(rows, inner, DType.F16);

    /// <summary>
    /// Bytes that linear layers and gated MLPs of up to <paramref name="intermediate"/> inner values take for themselves.
    /// </summary>
    public static long ScratchBytes(int tokens, int intermediate, DType weights) =>
        Linear.ScratchBytes(tokens, intermediate, weights);

    public IMailbox NewMailbox(MailboxShape shape, MailboxOptions options)
    {
        var mailbox = new CudaMailbox(this, shape, options);
        _mailboxes.Add(mailbox);
        return mailbox;
    }

    public void Finish() => _stream.Synchronize(Options.PatienceMax);

    public void Dispose()
    {
        // Kernels that wait for the host would wait for ever. What the others still use is not freed; and each of these may be
        // missing when the constructor failed on the way.
        _mailboxes.ForEach(mailbox => mailbox.GiveUp());
        _context.Drain();
        (Experts as IDisposable)?.Dispose();
        while (_mailboxes.Count > 0)
        {
            _mailboxes[^1].Dispose();
        }

        _memory?.Dispose();
        _stream?.Dispose();
        _kernels?.Dispose();
        _context.Dispose();
    }

    internal void Forget(CudaMailbox mailbox) => _mailboxes.Remove(mailbox);
}
