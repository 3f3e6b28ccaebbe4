using LsglangSharp.GpuPrefill;
using LsglangSharp.GpuPrefill.Tests;
using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;
using Xunit.Abstractions;

namespace LsglangSharp.Hybrid.Tests;

/// <summary>
/// Every golden in every placement, alone and in company, each operation by itself and whole steps recorded: within the format's
/// bound of the reference, greedy continuations the same.
/// </summary>
[Collection(Alone.Name)]
public sealed class PlacementTests(ITestOutputHelper output)
{
    /// <summary>As in <see cref="Conformance.GoldenModels"/>.</summary>
    private const double SingleBound = 1e-4;

    public enum Placement
    {
        Cpu,
        Cuda,
        Hybrid,
        PartlyResident,
    }

    public static TheoryData<string, Placement> Cases
    {
        get
        {
            var rows = new TheoryData<string, Placement>();
            foreach (var name in GoldenCase.Names)
            {
                foreach (var placement in Enum.GetValues<Placement>())
                {
                    rows.Add(name, placement);
                }
            }

            return rows;
        }
    }

    public static TheoryData<string, Placement> FurtherCases
    {
        get
        {
            var rows = new TheoryData<string, Placement>();
            foreach (var name in GoldenCase.FurtherNames)
            {
                foreach (var placement in Enum.GetValues<Placement>())
                {
                    rows.Add(name, placement);
                }
            }

            return rows;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Logits_and_greedy_continuations_are_the_references(string name, Placement placement) => Check(name, placement);

    [SkippableTheory]
    [MemberData(nameof(FurtherCases))]
    public void Further_models_do_so_too(string name, Placement placement)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");

        Check(name, placement);
    }

    private void Check(string name, Placement placement)
    {
        var golden = GoldenCase.Open(name);
        var worst = 0.0;
        foreach (var recorded in placement == Placement.Cpu ? new[] { false } : [false, true])
        {
            using var device = New(placement);
            var setting = new PagedSetting
            {
                IsResident = layer => placement == Placement.PartlyResident && layer % 2 == 0,
                Recorded = recorded ? HybridMachine.Recorded : [],
            };
            var model = new PagedModel(device, golden.Folder, DType.F32, DType.F32, pageSize: 5, setting: setting);
            Assert.Equal(recorded ? HybridMachine.Recorded : [], model.Coordinator.RecordedSizes);
            worst = Math.Max(worst, ByItself(golden, model));
            worst = Math.Max(worst, InCompany(golden, model));
        }

        output.WriteLine($"| {name} | {placement} | {worst:E1} |");
        Assert.InRange(worst, 0, SingleBound);
    }

    /// <summary>The prompt in two pieces, then token by token. Returns the largest deviation as a share of the largest logit.</summary>
    private static double ByItself(GoldenCase golden, PagedModel model)
    {
        var sequence = new PagedSequence(golden.Prompt);
        var prompt = model.Prefill(sequence, (golden.Prompt.Length / 2) + 1);
        var worst = golden.Share(prompt, golden.Logits);
        var logits = prompt[^golden.Vocabulary..];
        for (var i = 0; i < golden.Greedy.Length; i++)
        {
            worst = Math.Max(worst, golden.Share(logits, golden.GreedyLogits.AsSpan(i * golden.Vocabulary, golden.Vocabulary)));
            var token = Array.IndexOf(logits, logits.Max());
            Assert.Equal(golden.Greedy[i], token);
            sequence.Tokens.Add(token);
            logits = model.Step((sequence, 1));
        }

        model.Free(sequence);
        return worst;
    }

    /// <summary>
    /// Five sequences that stand at different places of the continuation decode together until each is at its end: recorded
    /// steps of 8 rows, of which 5, then 4, 3, 2 and 1 are alive.
    /// </summary>
    private static double InCompany(GoldenCase golden, PagedModel model)
    {
        int[] all = [.. golden.Prompt, .. golden.Greedy];
        float[] expected = [.. golden.Logits, .. golden.GreedyLogits.Skip(golden.Vocabulary)];
        var live = Enumerable.Range(0, 5).Select(i => new PagedSequence(all.AsSpan(0, all.Length - 1 - i))).ToList();
        foreach (var sequence in live)
        {
            model.Step((sequence, golden.Prompt.Length));
        }

        var worst = 0.0;
        while (live.RemoveAll(sequence => sequence.Remaining == 0) >= 0 && live.Count > 0)
        {
            var starts = live.Select(sequence => sequence.Cached).ToArray();
            var logits = model.Step(live.Select(sequence => (sequence, 1)).ToArray());
            for (var i = 0; i < starts.Length; i++)
            {
                worst = Math.Max(worst, golden.Share(
                    logits.AsSpan(i * golden.Vocabulary, golden.Vocabulary),
                    expected.AsSpan(starts[i] * golden.Vocabulary, golden.Vocabulary)));
            }
        }

        return worst;
    }

    private static HybridDevice New(Placement placement) => placement switch
    {
        Placement.Cpu => new HybridDevice(new CpuDevice(new CpuDeviceOptions { Threads = 2, ExactActivations = true }), null),
        Placement.Cuda => new HybridDevice(new CudaDevice(new CudaDeviceOptions()), null),
        _ => HybridMachine.New(),
    };
}
