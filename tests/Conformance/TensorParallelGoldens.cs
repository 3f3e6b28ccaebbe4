using LsglangSharp.Runtime.Execution;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;
using Xunit.Abstractions;

namespace LsglangSharp.Conformance;

/// <summary>Whole models shared by several devices, against what their reference implementations compute.</summary>
public abstract class TensorParallelRuns(ITestOutputHelper output)
{
    /// <summary>Of the largest logit, in float32, as for one device; shares only add in another order.</summary>
    private const double SingleBound = 1e-4;

    /// <summary>So many devices and what puts their shares together.</summary>
    protected abstract (IReadOnlyList<IDevice> Devices, Func<StepSizes, int, ICollective> Collective) NewDevices(int ranks);

    protected void HoldsLogits(string name, int ranks)
    {
        Run(name, ranks, DType.F32, (golden, model) =>
        {
            foreach (var chunk in new[] { golden.Prompt.Length, 7, 1 })
            {
                var sequence = new PagedSequence(golden.Prompt);
                var share = golden.Share(model.Prefill(sequence, chunk), golden.Logits);
                model.Free(sequence);
                output.WriteLine($"{name} on {ranks} x {model.Device.Name}, chunks of {chunk}: {share:E2} of the largest logit");
                Assert.InRange(share, 0, SingleBound);
            }
        });
    }

    protected void HoldsGreedy(string name, int ranks)
    {
        Run(name, ranks, DType.F32, (golden, model) =>
        {
            // Where devices record, each step is one launch a rank from here on.
            model.Coordinator.Record([1, 2, 4]);
            var sequence = new PagedSequence(golden.Prompt);
            var logits = model.Prefill(sequence, golden.Prompt.Length);
            var answer = new List<int>();
            while (true)
            {
                var last = logits.AsSpan(logits.Length - golden.Vocabulary);
                answer.Add(last.IndexOf(Max(last)));
                if (answer.Count == golden.Greedy.Length)
                {
                    break;
                }

                sequence.Tokens.Add(answer[^1]);
                logits = model.Step((sequence, 1));
            }

            Assert.Equal(golden.Greedy, answer);
        });
    }

    protected void HoldsSixteenBits(string name, int ranks)
    {
        Run(name, ranks, DType.BF16, (golden, model) =>
        {
            var share = golden.Share(model.Prefill(new PagedSequence(golden.Prompt), golden.Prompt.Length), golden.Logits);
            Assert.InRange(share, 0, 2 * golden.BFloat16Deviation);
        });
    }

    private static float Max(ReadOnlySpan<float> values)
    {
        var max = float.NegativeInfinity;
        foreach (var value in values)
        {
            max = MathF.Max(max, value);
        }

        return max;
    }

    private void Run(string name, int ranks, DType type, Action<GoldenCase, PagedModel> test)
    {
        var golden = GoldenCase.Open(name);
        var (devices, collective) = NewDevices(ranks);
        try
        {
            using var model = new PagedModel(devices, collective, golden.Folder, type, type, pageSize: 5);
            test(golden, model);
        }
        finally
        {
            foreach (var device in devices)
            {
                device.Dispose();
            }
        }
    }
}

/// <summary>Every golden on two and on four devices.</summary>
public abstract class TensorParallelGoldens(ITestOutputHelper output) : TensorParallelRuns(output)
{
    public static TheoryData<string, int> CasesAndRanks
    {
        get
        {
            var rows = new TheoryData<string, int>();
            foreach (var name in GoldenCase.Names)
            {
                rows.Add(name, 2);
                rows.Add(name, 4);
            }

            return rows;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(CasesAndRanks))]
    public void Logits_of_every_position_are_the_references(string name, int ranks) => HoldsLogits(name, ranks);

    [SkippableTheory]
    [MemberData(nameof(CasesAndRanks))]
    public void Greedy_continuation_is_the_references(string name, int ranks) => HoldsGreedy(name, ranks);

    [SkippableTheory]
    [MemberData(nameof(CasesAndRanks))]
    public void Sixteen_bits_stay_within_what_they_cost_the_reference(string name, int ranks) => HoldsSixteenBits(name, ranks);
}
