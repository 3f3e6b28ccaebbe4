using System.Collections.Immutable;
using LsglangSharp.Runtime.Primitives;
using Microsoft.Win32.SafeHandles;

namespace LsglangSharp.Runtime.Weights;

/// <summary>An open safetensors file. Reading is safe from several threads at once.</summary>
internal sealed class SafetensorsFile : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly long _dataStart;

    private SafetensorsFile(string path, SafeFileHandle handle, long dataStart, ImmutableArray<StoredTensor> tensors)
    {
        Path = path;
        _handle = handle;
        _dataStart = dataStart;
        Tensors = tensors;
    }

    public string Path { get; }

    public ImmutableArray<StoredTensor> Tensors { get; }

    public static SafetensorsFile Open(string path)
    {
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path, options: FileOptions.SequentialScan);
            var bytes = RandomAccess.GetLength(handle);
            Span<byte> first = stackalloc byte[Safetensors.LengthBytes];
            var length = Safetensors.HeaderLength(first[..RandomAccess.Read(handle, first, 0)], bytes, path);
            var header = new byte[length];
            ReadFully(handle, header, Safetensors.LengthBytes, path, "its header");
            var dataStart = Safetensors.LengthBytes + length;
            var file = new SafetensorsFile(
                path, handle, dataStart, Safetensors.ParseHeader(header, bytes - dataStart, path));
            handle = null;
            return file;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"cannot read {path}: {error.Message}", error);
        }
        finally
        {
            handle?.Dispose();
        }
    }

    /// <summary>Bytes of a tensor, from <paramref name="offset"/> of its own.</summary>
    public void Read(StoredTensor tensor, long offset, Span<byte> target)
    {
        Check.That(offset >= 0 && offset + target.Length <= tensor.End - tensor.Begin);
        try
        {
            ReadFully(_handle, target, _dataStart + tensor.Begin + offset, Path, $"tensor {tensor.Name}");
        }
        catch (IOException error)
        {
            throw new ConfigurationException($"cannot read tensor {tensor.Name} of {Path}: {error.Message}", error);
        }
    }

    public void Dispose() => _handle.Dispose();

    private static void ReadFully(SafeFileHandle handle, Span<byte> target, long offset, string path, string what)
    {
        while (target.Length > 0)
        {
            var count = RandomAccess.Read(handle, target, offset);
            if (count == 0)
            {
                throw Safetensors.Corrupt(
                    path, $"it ends at byte {offset}, within {what}; did it shrink while it was read?");
            }

            target = target[count..];
            offset += count;
        }
    }
}
