using System.Runtime.InteropServices;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Weights;

/// <summary>
/// Which tensor goes where. Built while a model is bound to a device, carried out once by <see cref="WeightLoader"/>;
/// until then the places hold nothing.
/// </summary>
public sealed class WeightPlan(IDeviceMemory memory)
{
    /// <summary>The largest published models have 75,000; beyond this the plan itself takes gigabytes.</summary>
    private const int MatricesMax = 1 << 20;

    private readonly List<MatrixBinding> _matrices = [];
    private readonly List<VectorBinding> _vectors = [];

    internal IReadOnlyList<MatrixBinding> Matrices => _matrices;

    internal IReadOnlyList<VectorBinding> Vectors => _vectors;

    /// <summary>What will be written.</summary>
    public long Bytes { get; private set; }

    /// <summary>
    /// The rows of the tensors, one tensor below the other, fill the whole target, in the target's element type.
    /// </summary>
    public void Matrix(WeightMatrix target, params ReadOnlySpan<TensorSpec> stacked)
    {
        long row = 0;
        foreach (var tensor in stacked)
        {
            Check.That(tensor.Columns == target.Columns);
            _matrices.Add(new MatrixBinding(tensor, target, checked((int)row)));
            row += tensor.Rows;
        }

        Check.That(row == target.Rows);
        if (_matrices.Count > MatricesMax)
        {
            throw new ConfigurationException(
                $"the model has more than {MatricesMax} weight matrices, up to {_matrices[^1].Tensor.Name}");
        }

        Bytes += target.Bytes;
    }

    /// <summary>The tensors' elements one after the other, as a new F32 tensor [1, n].</summary>
    public Tensor Vector(params ReadOnlySpan<TensorSpec> joined)
    {
        long length = 0;
        foreach (var tensor in joined)
        {
            length += tensor.ElementCount;
        }

        var target = memory.Allocate(DType.F32, 1, checked((int)length));
        _vectors.Add(new VectorBinding([.. joined], target));
        Bytes += length * DType.F32.Bytes();
        return target;
    }

    /// <summary>All routed experts of one layer.</summary>
    public void Experts(ExpertBank bank, Func<int, ExpertTensors> tensors)
    {
        for (var index = 0; index < bank.Experts; index++)
        {
            var expert = tensors(index);
            Matrix(bank.Gate(index), expert.Gate);
            Matrix(bank.Up(index), expert.Up);
            Matrix(bank.Down(index), expert.Down);
        }
    }

    internal void Upload(VectorBinding vector, ReadOnlySpan<byte> elements) =>
        memory.Upload(MemoryMarshal.Cast<byte, float>(elements), vector.Target);
}

/// <summary>A tensor fills the target's rows from <paramref name="RowStart"/> on.</summary>
internal sealed record MatrixBinding(TensorSpec Tensor, WeightMatrix Target, int RowStart);

/// <summary>Tensors that become one F32 vector.</summary>
internal sealed record VectorBinding(TensorSpec[] Joined, Tensor Target);
