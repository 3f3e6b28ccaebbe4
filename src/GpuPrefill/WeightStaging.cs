using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.GpuPrefill;

/// <summary>
/// Page-locked blocks through which weights stream from files to the device, on a stream of their own: while one block
/// travels, the thread that filled it fills the next. Safe from several threads.
/// </summary>
internal sealed class WeightStaging : IDisposable
{
    /// <summary>As long as a piece of the loader: long enough that a copy's start costs nothing beside it.</summary>
    public const int BlockBytes = 8 << 20;

    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly CudaEvent _filled;
    private readonly int _blocksMax;

    // Those that nobody fills, the one that was sent first in front; its copy may still be under way.
    private readonly Queue<Block> _idle = [];
    private readonly List<Block> _all = [];
    private int _pending;

    public WeightStaging(CudaContext context, long bytesMax)
    {
        Check.That(bytesMax >= BlockBytes);
        _context = context;
        _blocksMax = (int)(bytesMax / BlockBytes);
        _stream = new CudaStream(context);
        _filled = new CudaEvent(context);
    }

    /// <summary>Page-locked bytes held now.</summary>
    public long Bytes
    {
        get
        {
            lock (_idle)
            {
                return (long)_all.Count * BlockBytes;
            }
        }
    }

    /// <summary>
    /// Sends rows [rowStart, rowStart + rowCount), which lie from <paramref name="target"/> on, through the reader. Returns
    /// when all was read; <see cref="Join"/> orders what comes after the copies.
    /// </summary>
    public void Fill(nint target, long rowBytes, int rowStart, int rowCount, RowReader read)
    {
        Check.That(rowBytes <= BlockBytes);
        var rowsPerBlock = rowBytes == 0 ? rowCount : (int)Math.Min(rowCount, BlockBytes / rowBytes);
        for (var done = 0; done < rowCount; done += rowsPerBlock)
        {
            var rows = Math.Min(rowsPerBlock, rowCount - done);
            Send(target + (nint)(done * rowBytes), (int)(rows * rowBytes), rowStart + done, rows, read);
        }
    }

    /// <summary>What the stream is given from now on runs after everything filled so far.</summary>
    public void Join(CudaStream stream)
    {
        if (Volatile.Read(ref _pending) != 0 && Interlocked.Exchange(ref _pending, 0) != 0)
        {
            _filled.Record(_stream);
            stream.Wait(_filled);
        }
    }

    /// <summary>Waits for the copies and gives the page-locked memory back. Filling again takes it anew.</summary>
    public void Release()
    {
        _stream.Synchronize();
        lock (_idle)
        {
            Check.That(_idle.Count == _all.Count);
            Free();
        }
    }

    public void Dispose()
    {
        lock (_idle)
        {
            Free();
        }

        _filled.Dispose();
        _stream.Dispose();
    }

    private void Send(nint target, int bytes, int rowStart, int rows, RowReader read)
    {
        var block = Take();
        try
        {
            block.Copied.Synchronize();
            read(rowStart, rows, block.Memory.Span(0, bytes));
            if (bytes > 0)
            {
                _stream.CopyToDevice(target, block.Memory.Address, bytes);
                block.Copied.Record(_stream);
                Volatile.Write(ref _pending, 1);
            }
        }
        finally
        {
            lock (_idle)
            {
                _idle.Enqueue(block);
                Monitor.Pulse(_idle);
            }
        }
    }

    /// <summary>A block whose copy is done, else a new one, else the one whose copy will be done first.</summary>
    private Block Take()
    {
        lock (_idle)
        {
            while (_idle.Count == 0 && _all.Count == _blocksMax)
            {
                Monitor.Wait(_idle);
            }

            if (_idle.Count > 0 && (_all.Count == _blocksMax || _idle.Peek().Copied.IsDone))
            {
                return _idle.Dequeue();
            }

            var block = new Block(new PinnedMemory(_context, BlockBytes), new CudaEvent(_context));
            _all.Add(block);
            return block;
        }
    }

    private void Free()
    {
        foreach (var (memory, copied) in _all)
        {
            memory.Dispose();
            copied.Dispose();
        }

        _all.Clear();
        _idle.Clear();
    }

    private sealed record Block(PinnedMemory Memory, CudaEvent Copied);
}
