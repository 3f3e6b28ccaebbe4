using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.Conformance;

/// <summary>What all suites over a device share: data with a fixed seed and sums with their error bounds.</summary>
public abstract class DeviceConformance
{
    private readonly Random _random = new(20_250);

    protected abstract IDevice Device { get; }

    /// <summary>
    /// Relative error by which the device may round activations before they meet weights of this type; 0 for one that
    /// never does.
    /// </summary>
    protected virtual double ActivationRounding(DType weights) => 0;

    /// <summary>Counts around the sizes at which implementations change their ways.</summary>
    public static TheoryData<int> RowCounts => [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 130];

    protected static readonly DType[] Types = [DType.F32, DType.BF16, DType.F16];

    public static TheoryData<DType> WeightTypes => [.. Types];

    /// <summary>Uniform in [-1, 1).</summary>
    protected float Uniform() => (_random.NextSingle() * 2) - 1;

    protected int Below(int bound) => _random.Next(bound);

    protected PaddedTensor Random(int rows, int columns, int left = 0, int right = 0) =>
        new(Device, rows, columns, (_, _) => Uniform(), left, right);

    protected PaddedTensor Zeros(int rows, int columns, int left = 0, int right = 0) =>
        new(Device, rows, columns, (_, _) => 0, left, right);

    protected KnownMatrix RandomMatrix(DType type, int rows, int columns) =>
        new(Device.Memory.AllocateMatrix(type, rows, columns), (_, _) => Uniform());

    protected Tensor Floats(params float[] values) => Upload(values, DType.F32);

    protected Tensor Integers(params int[] values) => Upload(values, DType.I32);

    protected Tensor Integers(int[,] values)
    {
        var tensor = Device.Memory.Allocate(DType.I32, values.GetLength(0), values.GetLength(1));
        Device.Memory.Upload<int>(values.Cast<int>().ToArray(), tensor);
        return tensor;
    }

    /// <summary>Σ a(i) · b(i) in float32, where each a may be off by its error and be rounded on the way.</summary>
    protected static Bounded Dot(int length, Func<int, Bounded> a, Func<int, double> b, double rounding)
    {
        double sum = 0, magnitude = 0, inherited = 0;
        for (var i = 0; i < length; i++)
        {
            var (value, error) = a(i);
            sum += value * b(i);
            magnitude += Math.Abs(value * b(i));
            inherited += error * Math.Abs(b(i));
        }

        return new(sum, inherited + ((Tolerance.Dot(length) + rounding) * (magnitude + inherited)) + double.Epsilon);
    }

    /// <summary>down(silu(gate · x) * (up · x)) of one row, element by element.</summary>
    protected Bounded[] Mlp(Func<int, double> x, KnownMatrix gate, KnownMatrix up, KnownMatrix down)
    {
        var rounding = ActivationRounding(gate.Matrix.Type);
        var inner = new Bounded[gate.Matrix.Rows];
        for (var i = 0; i < inner.Length; i++)
        {
            var row = i;
            var g = Dot(gate.Matrix.Columns, c => new(x(c), 0), c => gate[row, c], rounding);
            var u = Dot(up.Matrix.Columns, c => new(x(c), 0), c => up[row, c], rounding);
            var silu = g.Value / (1 + Math.Exp(-g.Value));
            // The slope of silu is at most 1.1.
            var siluError = (1.1 * g.Error) + (Tolerance.Transcendental * (1 + Math.Abs(g.Value)) * Math.Abs(silu));
            var error = (siluError * (Math.Abs(u.Value) + u.Error)) + (Math.Abs(silu) * u.Error);
            inner[i] = new(silu * u.Value, error + (2 * Tolerance.Single * Math.Abs(silu * u.Value)));
        }

        var y = new Bounded[down.Matrix.Rows];
        for (var i = 0; i < y.Length; i++)
        {
            y[i] = Dot(inner.Length, c => inner[c], c => down[i, c], rounding);
        }

        return y;
    }

    /// <summary>The sum with what was there before, rounded once more.</summary>
    protected static Bounded Add(Bounded a, double b) =>
        new(a.Value + b, a.Error + (Tolerance.Single * (Math.Abs(a.Value + b) + a.Error)));

    private Tensor Upload<T>(T[] values, DType type)
        where T : unmanaged
    {
        var tensor = Device.Memory.Allocate(type, 1, values.Length);
        Device.Memory.Upload<T>(values, tensor);
        return tensor;
    }
}
