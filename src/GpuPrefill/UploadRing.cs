using LsglangSharp.GpuPrefill.Interop;

namespace LsglangSharp.GpuPrefill;

/// <summary>
/// Page-locked memory from which arrays travel to the device: the caller's array is free at once, and nothing waits unless
/// the ring has been filled once around before the device came that far.
/// </summary>
internal sealed class UploadRing : IDisposable
{
    public const int SegmentCount = 8;
    public const int SegmentBytes = 512 << 10;
    public const long Bytes = (long)SegmentCount * SegmentBytes;

    // Every copy starts where the copy engines like it.
    private const int Alignment = 256;

    private readonly PinnedMemory _memory;
    private readonly CudaStream _stream;

    // When the copies out of a segment are done.
    private readonly CudaEvent?[] _read = new CudaEvent?[SegmentCount];
    private int _segment;
    private int _offset;

    public UploadRing(CudaContext context, CudaStream stream)
    {
        _stream = stream;
        _memory = new PinnedMemory(context, Bytes);
        for (var i = 0; i < SegmentCount; i++)
        {
            _read[i] = new CudaEvent(context);
        }
    }

    /// <summary>Enqueues the copy. Of one thread at a time.</summary>
    public void Upload(ReadOnlySpan<byte> source, nint target)
    {
        while (source.Length > 0)
        {
            if (_offset == SegmentBytes)
            {
                Advance();
            }

            var count = Math.Min(source.Length, SegmentBytes - _offset);
            var place = ((long)_segment * SegmentBytes) + _offset;
            source[..count].CopyTo(_memory.Span(place, count));
            _stream.CopyToDevice(target, _memory.Address + (nint)place, count);
            source = source[count..];
            target += count;
            _offset = Math.Min(SegmentBytes, (_offset + count + Alignment - 1) / Alignment * Alignment);
        }
    }

    public void Dispose()
    {
        foreach (var read in _read)
        {
            read?.Dispose();
        }

        _memory.Dispose();
    }

    private void Advance()
    {
        _read[_segment]!.Record(_stream);
        _segment = (_segment + 1) % SegmentCount;
        _offset = 0;
        // Never recorded, in the first round, is as good as done.
        _read[_segment]!.Synchronize();
    }
}
