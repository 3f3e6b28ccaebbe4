using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;
using Xunit.Abstractions;

namespace LsglangSharp.Conformance;

/// <summary>Whole models on a device against what their reference implementations compute.</summary>
public abstract class GoldenModels(ITestOutputHelper output)
{
    /// <summary>
    /// Of the largest logit, in float32: about a thousand roundings, as two to six layers of such sums make.
    /// </summary>
    private const double SingleBound = 1e-4;

    public static TheoryData<string> Cases => [.. GoldenCase.Names];

    public static TheoryData<string> FurtherCases => [.. GoldenCase.FurtherNames];

    public static TheoryData<string, int> CasesAndPageSizes
    {
        get
        {
            var rows = new TheoryData<string, int>();
            foreach (var name in GoldenCase.Names)
            {
                foreach (var pageSize in new[] { 1, 2, 3, 7, 16, 64, 256 })
                {
                    rows.Add(name, pageSize);
                }
            }

            return rows;
        }
    }

    protected abstract IDevice NewDevice();

    /// <summary>How models are spread and run.</summary>
    protected virtual PagedSetting Setting { get; } = new();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Logits_of_every_position_are_the_references(string name)
    {
        var (golden, model) = Load(name);
        using var device = model.Device;
        var hidden = new List<float[]>();
        model.Coordinator.OnResidual = (_, residual) => hidden.Add(device.Memory.Read<float>(residual).ToArray());

        var logits = model.Prefill(new PagedSequence(golden.Prompt), golden.Prompt.Length);

        var share = golden.Share(logits, golden.Logits);
        output.WriteLine($"{name} on {device.Name} in float32: {share:E2} of the largest logit");
        Assert.True(share <= SingleBound, $"{name}: {share:E2}; {FirstLayerThatDeviates(golden, hidden)}");
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Routers_choose_the_references_experts(string name)
    {
        var (golden, model) = Load(name);
        using var device = model.Device;
        var chosen = new List<int[]>();
        model.Coordinator.OnRoutes = routes => chosen.Add(Ascending(device.Memory.Read<int>(routes.Experts), routes.Experts.Columns));

        model.Prefill(new PagedSequence(golden.Prompt), golden.Prompt.Length);

        var layers = golden.Hidden.Length / (golden.Prompt.Length * Hidden(golden)) - 1;
        Assert.Equal([.. Enumerable.Range(0, layers).Select(golden.Experts).OfType<int[]>()], chosen);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Greedy_continuation_is_the_references(string name)
    {
        var (golden, model) = Load(name);
        using var device = model.Device;
        var sequence = new PagedSequence(golden.Prompt);
        var logits = model.Prefill(sequence, golden.Prompt.Length)[^golden.Vocabulary..];

        for (var i = 0; i < golden.Greedy.Length; i++)
        {
            Within(golden, logits, Row(golden, golden.GreedyLogits, i), $"token {i}");
            var token = Array.IndexOf(logits, logits.Max());
            Assert.Equal(golden.Greedy[i], token);
            sequence.Tokens.Add(token);
            logits = model.Step((sequence, 1));
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Prefill_in_chunks_of_any_size_gives_the_same(string name)
    {
        var (golden, model) = Load(name, pageSize: 16);
        using var device = model.Device;

        for (var chunk = 1; chunk <= golden.Prompt.Length; chunk++)
        {
            var sequence = new PagedSequence(golden.Prompt);
            Within(golden, model.Prefill(sequence, chunk), golden.Logits, $"chunks of {chunk}");
            model.Free(sequence);
        }
    }

    /// <summary>
    /// A sliding window, biases, other names of the experts' tensors, checkpoints in float16 and float32.
    /// </summary>
    [SkippableTheory]
    [MemberData(nameof(FurtherCases))]
    public void Further_models_compute_what_their_references_do(string name)
    {
        Skip.If(Repository.Shared is null, "reference data is not here");

        Logits_of_every_position_are_the_references(name);
        Routers_choose_the_references_experts(name);
        Greedy_continuation_is_the_references(name);
        Prefill_in_chunks_of_any_size_gives_the_same(name);
    }

    [Theory]
    [MemberData(nameof(CasesAndPageSizes))]
    public void Pages_of_any_size_in_any_order_give_the_same(string name, int pageSize)
    {
        var (golden, model) = Load(name, pageSize);
        using var device = model.Device;
        var sequence = new PagedSequence(golden.Prompt);
        // Pages that others have left behind are full of their keys and values.
        var other = new PagedSequence([.. golden.Prompt.Reverse()]);
        model.Prefill(other, 64);
        model.Free(other);

        Within(golden, model.Prefill(sequence, 13), golden.Logits, $"pages of {pageSize}");
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_shared_prefix_may_end_at_any_page(string name)
    {
        const int PageSize = 4;
        var (golden, model) = Load(name, PageSize);
        using var device = model.Device;
        var first = new PagedSequence(golden.Prompt);
        model.Prefill(first, golden.Prompt.Length);

        for (var cached = PageSize; cached < golden.Prompt.Length; cached += PageSize)
        {
            var second = new PagedSequence(golden.Prompt) { Cached = cached };
            second.Pages.AddRange(first.Pages.Take(cached / PageSize));

            var logits = model.Prefill(second, golden.Prompt.Length);

            Within(golden, logits, golden.Logits.AsSpan(cached * golden.Vocabulary), $"after {cached} cached tokens");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Batched_with_others_each_sequence_gets_its_own_logits(string name)
    {
        var (golden, model) = Load(name, pageSize: 5);
        using var device = model.Device;
        var random = new Random(7);
        for (var round = 0; round < 8; round++)
        {
            // Most follow the reference into its continuation, so that prefill and decode rows meet in one step; some
            // are strangers.
            int[] all = [.. golden.Prompt, .. golden.Greedy];
            float[] expected = [.. golden.Logits, .. golden.GreedyLogits.Skip(golden.Vocabulary)];
            var known = Enumerable.Range(0, 5).Select(_ => new PagedSequence(all.AsSpan(0, all.Length - 1))).ToArray();
            var strangers = Enumerable.Range(0, 3)
                .Select(i => new PagedSequence([.. all.Take(40 - i).Reverse()])).ToArray();
            var live = new List<PagedSequence>([.. known, .. strangers]);
            while (live.RemoveAll(sequence => sequence.Remaining == 0) >= 0 && live.Count > 0)
            {
                var parts = live.Where(_ => random.Next(4) > 0)
                    .Select(sequence => (sequence, Math.Min(Chunk(random), sequence.Remaining)))
                    .OrderBy(_ => random.Next()).ToArray();
                if (parts.Length == 0)
                {
                    continue;
                }

                var starts = parts.Select(part => part.sequence.Cached).ToArray();
                HoldsEach(golden, expected, model.Step(parts), parts, starts, known);
            }

            Array.ForEach([.. known, .. strangers], model.Free);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Sixteen_bits_stay_within_what_they_cost_the_reference(string name)
    {
        // These checkpoints hold bfloat16 values, so matrices are exact in both types and only the cache and, on some
        // devices, the activations are rounded: a part of the roundings that made the reference's own bfloat16 run
        // deviate. Twice its deviation leaves room for other roundings of the same size; float16 has three bits more,
        // each of which halves the error.
        foreach (var (type, bound) in new[] { (DType.BF16, 2.0), (DType.F16, 2.0 / 8) })
        {
            var golden = GoldenCase.Open(name);
            using var device = NewDevice();
            var model = new PagedModel(device, golden.Folder, type, type, 16, setting: Setting);

            var whole = golden.Share(model.Prefill(new PagedSequence(golden.Prompt), golden.Prompt.Length), golden.Logits);
            var single = golden.Share(model.Prefill(new PagedSequence(golden.Prompt), 1), golden.Logits);

            output.WriteLine(
                $"{name} on {device.Name} in {type}: {whole:E2} of the largest logit at once, {single:E2} token by token; "
                + $"the reference in bfloat16: {golden.BFloat16Deviation:E2}");
            Assert.InRange(Math.Max(whole, single), 0, bound * golden.BFloat16Deviation);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_step_allocates_nothing(string name)
    {
        var (golden, model) = Load(name);
        using var device = model.Device;
        var sequence = new PagedSequence(golden.Prompt);
        model.Step((sequence, 40));
        Again(model);
        var before = GC.GetAllocatedBytesForCurrentThread();

        Again(model);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    /// <summary>Often enough for the just-in-time compiler to be done with the loops.</summary>
    private static void Again(PagedModel model)
    {
        for (var i = 0; i < 30; i++)
        {
            model.Again();
        }
    }

    private (GoldenCase Golden, PagedModel Model) Load(string name, int pageSize = 16)
    {
        var golden = GoldenCase.Open(name);
        return (golden, new PagedModel(NewDevice(), golden.Folder, DType.F32, DType.F32, pageSize, setting: Setting));
    }

    private static int Chunk(Random random) => random.Next(3) == 0 ? random.Next(1, 24) : 1;

    private static void HoldsEach(
        GoldenCase golden, float[] expected, float[] logits, (PagedSequence Sequence, int Count)[] parts, int[] starts,
        PagedSequence[] known)
    {
        var at = 0;
        for (var i = 0; i < parts.Length; i++)
        {
            var count = parts[i].Count * golden.Vocabulary;
            if (known.Contains(parts[i].Sequence))
            {
                Within(
                    golden, logits.AsSpan(at, count), expected.AsSpan(starts[i] * golden.Vocabulary, count),
                    $"{parts[i].Count} rows from position {starts[i]} among {parts.Length} sequences");
            }

            at += count;
        }
    }

    private static void Within(GoldenCase golden, ReadOnlySpan<float> actual, ReadOnlySpan<float> expected, string what)
    {
        var share = golden.Share(actual, expected);
        Assert.True(share <= SingleBound, $"{golden.Name}, {what}: {share:E2} of the largest logit");
    }

    private static ReadOnlySpan<float> Row(GoldenCase golden, float[] logits, int row) =>
        logits.AsSpan(row * golden.Vocabulary, golden.Vocabulary);

    private static int[] Ascending(ReadOnlySpan<int> experts, int topK)
    {
        var sorted = experts.ToArray();
        for (var start = 0; start < sorted.Length; start += topK)
        {
            Array.Sort(sorted, start, topK);
        }

        return sorted;
    }

    private static int Hidden(GoldenCase golden) =>
        Runtime.Models.ModelFolder.Open(golden.Folder).Spec.Embedding.Hidden;

    private static string FirstLayerThatDeviates(GoldenCase golden, List<float[]> hidden)
    {
        for (var i = 0; i < hidden.Count; i++)
        {
            var expected = golden.Hidden.AsSpan(i * hidden[i].Length, hidden[i].Length);
            var largest = 0.0;
            foreach (var value in expected)
            {
                largest = Math.Max(largest, Math.Abs(value));
            }

            var share = Deviation.Largest(hidden[i], expected) / largest;
            if (!(share <= SingleBound))
            {
                return i == 0 ? $"the embedding deviates by {share:E2}" : $"layer {i - 1} is the first to deviate: {share:E2}";
            }
        }

        return "no layer deviates, so it is the final norm or the head";
    }
}
