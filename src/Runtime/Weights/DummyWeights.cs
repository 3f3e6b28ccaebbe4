using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Weights;

/// <summary>
/// Seeded random weights for any model (--load-format dummy). Matrices are uniform with a deviation of about 1 /
/// sqrt(columns), so that activations keep their size; norms are near 1 when loaded, biases near 0. An element depends on the seed,
/// the tensor's name and its position alone, and every element type holds it exactly.
/// </summary>
public sealed class DummyWeights(ulong seed) : IWeightSource
{
    public IReadOnlyList<TensorReader> Open(IReadOnlyList<TensorSpec> tensors) =>
    [
        .. tensors.Select((tensor, index) =>
            new Reader(tensor, index, new Generator(Key(tensor.Name), Distribution.Of(tensor)))),
    ];

    /// <summary>
    /// FNV-1a over the name, started with the seed, and MurmurHash3's finish, so that each bit counts.
    /// </summary>
    private ulong Key(string name)
    {
        var hash = 14695981039346656037 ^ seed;
        foreach (var c in name)
        {
            hash = (hash ^ c) * 1099511628211;
        }

        hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccd;
        hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53;
        return hash ^ (hash >> 33);
    }

    private sealed class Reader(TensorSpec tensor, int index, Generator generator) : TensorReader(tensor)
    {
        public override (int File, long Offset) Position => (index, 0);

        public override void ReadElements(long first, DType type, Span<byte> target)
        {
            if (type == DType.F32)
            {
                generator.Fill(first, MemoryMarshal.Cast<byte, float>(target));
            }
            else if (type == DType.BF16)
            {
                generator.Fill(first, MemoryMarshal.Cast<byte, ushort>(target));
            }
            else
            {
                FillThroughFloats(first, type, target);
            }
        }

        private void FillThroughFloats(long first, DType type, Span<byte> target)
        {
            Span<float> block = stackalloc float[2048];
            while (target.Length > 0)
            {
                var count = Math.Min(block.Length, target.Length / type.Bytes());
                generator.Fill(first, block[..count]);
                var written = target[..(count * type.Bytes())];
                Check.That(ElementConversion.Convert(MemoryMarshal.AsBytes(block[..count]), DType.F32, written, type));
                first += count;
                target = target[written.Length..];
            }
        }
    }

    /// <summary>
    /// What a random byte becomes: (byte &amp; Mask) * Factor + Offset. Products and sums have at most 8 significant
    /// bits, which bfloat16 and float16 hold.
    /// </summary>
    private readonly record struct Distribution(byte Mask, float Factor, float Offset)
    {
        public static Distribution Of(TensorSpec tensor)
        {
            if (tensor.Shape.Length > 1)
            {
                // A uniform value in ±w deviates by w / sqrt(3); w is rounded to a power of two.
                return Symmetric(MathF.ScaleB(1, (int)MathF.Round(MathF.Log2(MathF.Sqrt(3f / tensor.Columns)))));
            }

            return tensor.Name.EndsWith(".bias", StringComparison.Ordinal)
                ? Symmetric(1f / 64)
                : new Distribution(0x0f, 1f / 128, 1 - tensor.Added - (8f / 128));
        }

        /// <summary>The odd multiples of width / 256 in ±width.</summary>
        private static Distribution Symmetric(float width) => new(0xff, width / 128, -255 * width / 256);
    }

    /// <summary>
    /// A counter-based generator: word i of the stream is a hash of i and the key, and gives four elements.
    /// </summary>
    private sealed class Generator(ulong key, Distribution distribution)
    {
        private static readonly int _stepElements = Vector<byte>.Count;

        private readonly Vector<uint> _lanes = Vector<uint>.Indices;
        private readonly Vector<byte> _mask = new(distribution.Mask);
        private readonly Vector<float> _factor = new(distribution.Factor);
        private readonly Vector<float> _offset = new(distribution.Offset);

        /// <summary>Elements from <paramref name="first"/> on.</summary>
        public void Fill(long first, Span<float> target)
        {
            Span<float> part = stackalloc float[_stepElements];
            for (var (step, skip) = Math.DivRem(first, _stepElements); target.Length > 0; step++, skip = 0)
            {
                var whole = skip == 0 && target.Length >= _stepElements;
                var place = whole ? target : part;
                var bytes = Bytes(step);
                Vector.Widen(bytes, out var low, out var high);
                Values(low, place);
                Values(high, place[Vector<ushort>.Count..]);
                var count = whole ? _stepElements : Math.Min(_stepElements - (int)skip, target.Length);
                if (!whole)
                {
                    part.Slice((int)skip, count).CopyTo(target);
                }

                target = target[count..];
            }
        }

        /// <summary>The same as bfloat16.</summary>
        public void Fill(long first, Span<ushort> target)
        {
            Span<ushort> part = stackalloc ushort[_stepElements];
            for (var (step, skip) = Math.DivRem(first, _stepElements); target.Length > 0; step++, skip = 0)
            {
                var whole = skip == 0 && target.Length >= _stepElements;
                var place = whole ? target : part;
                Vector.Widen(Bytes(step), out var low, out var high);
                Upper(low).CopyTo(place);
                Upper(high).CopyTo(place[Vector<ushort>.Count..]);
                var count = whole ? _stepElements : Math.Min(_stepElements - (int)skip, target.Length);
                if (!whole)
                {
                    part.Slice((int)skip, count).CopyTo(target);
                }

                target = target[count..];
            }
        }

        /// <summary>
        /// The bytes of the words of one step. The mixing is the integer hash "lowbias32"; the second half of the key
        /// comes between its rounds, as otherwise every tensor would be a window of one and the same stream.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector<byte> Bytes(long step)
        {
            var word = (ulong)step * (ulong)Vector<uint>.Count;
            var x = ((_lanes + new Vector<uint>((uint)word)) * new Vector<uint>(0x9e3779b9))
                + new Vector<uint>((uint)key + ((uint)(word >> 32) * 0x85ebca6b));
            x ^= Vector.ShiftRightLogical(x, 16);
            x *= new Vector<uint>(0x7feb352d);
            x += new Vector<uint>((uint)(key >> 32));
            x ^= Vector.ShiftRightLogical(x, 15);
            x *= new Vector<uint>(0x846ca68b);
            x ^= Vector.ShiftRightLogical(x, 16);
            return x.As<uint, byte>() & _mask;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Values(Vector<ushort> bytes, Span<float> target)
        {
            Vector.Widen(bytes, out var low, out var high);
            Value(low).CopyTo(target);
            Value(high).CopyTo(target[Vector<float>.Count..]);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector<ushort> Upper(Vector<ushort> bytes)
        {
            Vector.Widen(bytes, out var low, out var high);
            return Vector.Narrow(
                Vector.ShiftRightLogical(Value(low).As<float, uint>(), 16),
                Vector.ShiftRightLogical(Value(high).As<float, uint>(), 16));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector<float> Value(Vector<uint> bytes) =>
            (Vector.ConvertToSingle(bytes.As<uint, int>()) * _factor) + _offset;
    }
}
