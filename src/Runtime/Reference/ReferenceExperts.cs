using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Runtime.Reference;

/// <summary>Every expert computes the rows that were routed to it, one expert after the other.</summary>
internal sealed class ReferenceExperts : IExperts, IDisposable
{
    private readonly ReferenceMlp _mlp = new();
    private readonly Scratch<int> _rows = new();
    private readonly Scratch<float> _weights = new();
    private ReferenceBuffer _result = new(0);
    private bool _open;

    public ExpertBank Allocate(DType type, int experts, int topK, int hidden, int intermediate) =>
        new ReferenceBank(type, experts, hidden, intermediate);

    public ExpertRun Start(ExpertBank bank, Tensor x, Routes routes)
    {
        Check.That(!_open);
        Check.That(x.Columns == bank.Hidden && routes.Experts.Rows == x.Rows && routes.Weights.Rows == x.Rows);
        _open = true;
        var result = Result(x.Rows, bank.Hidden);
        for (var expert = 0; expert < bank.Experts; expert++)
        {
            var count = Collect(routes, expert);
            _mlp.Add(x, _rows.Take(count), _weights.Take(count), ((ReferenceBank)bank).Expert(expert), result);
        }

        return new ExpertRun(bank, x, routes);
    }

    public void Join(in ExpertRun run, Tensor y)
    {
        Check.That(_open && y.Rows == run.X.Rows && y.Columns == run.Bank.Hidden);
        _open = false;
        var result = new Tensor(_result, 0, DType.F32, y.Rows, y.Columns, y.Columns);
        for (var t = 0; t < y.Rows; t++)
        {
            var from = result.Floats(t);
            var to = y.Floats(t);
            for (var i = 0; i < to.Length; i++)
            {
                to[i] += from[i];
            }
        }
    }

    public void Dispose() => _result.Dispose();

    private Tensor Result(int rows, int columns)
    {
        var bytes = rows * columns * DType.F32.Bytes();
        if (_result.Bytes < bytes)
        {
            _result = new ReferenceBuffer(bytes);
        }

        _result.Span.Clear();
        return new Tensor(_result, 0, DType.F32, rows, columns, columns);
    }

    /// <summary>
    /// The rows that chose the expert and the weights they gave it; a row that names it twice counts twice.
    /// </summary>
    private int Collect(Routes routes, int expert)
    {
        var choices = routes.Experts.Rows * routes.Experts.Columns;
        var rows = _rows.Take(choices);
        var weights = _weights.Take(choices);
        var count = 0;
        for (var t = 0; t < routes.Experts.Rows; t++)
        {
            var chosen = routes.Experts.Integers(t);
            for (var k = 0; k < chosen.Length; k++)
            {
                if (chosen[k] == expert)
                {
                    rows[count] = t;
                    weights[count++] = routes.Weights.Floats(t)[k];
                }
            }
        }

        return count;
    }

    private sealed class ReferenceBank : ExpertBank
    {
        private readonly ReferenceMlp.Matrices[] _experts;

        public ReferenceBank(DType type, int experts, int hidden, int intermediate)
            : base(type, experts, hidden, intermediate)
        {
            _experts = new ReferenceMlp.Matrices[experts];
            for (var i = 0; i < experts; i++)
            {
                _experts[i] = new ReferenceMlp.Matrices(
                    new ReferenceMatrix(type, intermediate, hidden),
                    new ReferenceMatrix(type, intermediate, hidden),
                    new ReferenceMatrix(type, hidden, intermediate));
            }
        }

        public ReferenceMlp.Matrices Expert(int expert) => _experts[expert];

        public override WeightMatrix Gate(int expert) => _experts[expert].Gate;

        public override WeightMatrix Up(int expert) => _experts[expert].Up;

        public override WeightMatrix Down(int expert) => _experts[expert].Down;
    }
}
