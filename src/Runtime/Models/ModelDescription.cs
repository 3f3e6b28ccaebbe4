using System.Collections.Immutable;
using System.Globalization;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Models;

/// <summary>
/// A model as lines of text: its parts with their tensors, equal layers and experts drawn once, and what it costs.
/// </summary>
public static class ModelDescription
{
    public static ImmutableArray<string> Lines(ModelSpec spec, DType weights, DType cache) =>
        [Title(spec), "", .. Tree(spec), "", .. Costs(spec, weights, cache)];

    private static string Title(ModelSpec spec) =>
        $"{spec.Architecture}, {spec.Layers.Length} layers of {Units.Count(spec.Embedding.Hidden)}, vocabulary " +
        $"{Units.Count(spec.Embedding.Vocabulary)}, context {Units.Count(spec.ContextLength)}, " +
        Name(spec.CheckpointType);

    private static IEnumerable<string> Tree(ModelSpec spec)
    {
        var lines = new List<(string Left, string Right)>();
        Add(spec.Embedding, spec.Embedding.Name, "");
        foreach (var kind in Kinds(spec.Layers))
        {
            lines.Add(($"model.layers.{Ranges(kind)}", kind.Count == 1 ? "" : $"{kind.Count} alike"));
            foreach (var part in spec.Layers[kind[0]].Parts)
            {
                Add(part, part.Name[(part.Name.LastIndexOf('.') + 1)..], "  ");
            }
        }

        Add(spec.FinalNorm, spec.FinalNorm.Name, "");
        Add(spec.Head, spec.Head.Name, "");
        return Columns(lines);

        void Add(Part part, string name, string indent)
        {
            TensorSpec[] tensors = [.. Shown(part)];
            if (tensors is [var only])
            {
                lines.Add(($"{indent}{name}{Tail(part, only)}", Join(Shape(only), Facts(part))));
                return;
            }

            lines.Add(($"{indent}{name}", Facts(part)));
            lines.AddRange(tensors.Select(tensor => ($"{indent}  {Tail(part, tensor)[1..]}", Shape(tensor))));
        }
    }

    /// <summary>One expert stands for all.</summary>
    private static IEnumerable<TensorSpec> Shown(Part part) => part is Moe moe
        ? [.. moe.Common, .. moe.Expert(0).All.Select(tensor => tensor with
        {
            Name = tensor.Name.Replace(
                ".experts.0.", $".experts.0..{moe.Router.Experts - 1}.", StringComparison.Ordinal),
        })]
        : part.Tensors;

    private static string Tail(Part part, TensorSpec tensor) => tensor.Name[part.Name.Length..];

    private static string Shape(TensorSpec tensor) => $"[{string.Join(", ", tensor.Shape)}]";

    private static string Join(string a, string b) => b.Length == 0 ? a : $"{a}  {b}";

    private static IEnumerable<string> Columns(IReadOnlyCollection<(string Left, string Right)> lines)
    {
        var width = lines.Max(line => line.Left.Length) + 2;
        return lines.Select(line => line.Right.Length == 0 ? line.Left : line.Left.PadRight(width) + line.Right);
    }

    private static string Facts(Part part) => part switch
    {
        Gqa gqa => $"attention, {gqa.Heads} heads over {gqa.KvHeads}, each {gqa.HeadDim}" +
            (gqa.QkNormEpsilon is null ? "" : ", q and k normed") +
            (gqa.Window is { } window ? $", window {Units.Count(window)}" : "") +
            $"; {Facts(gqa.Rotary, gqa.HeadDim)}",
        Moe moe => $"{moe.Router.TopK} of {moe.Router.Experts} experts, each {Units.Count(moe.Intermediate)}; " +
            Facts(moe.Router) + (moe.CorrectionName is null ? "" : ", corrected"),
        Mlp mlp => $"gated MLP, {Units.Count(mlp.Intermediate)}",
        RmsNorm norm => $"RMS norm, epsilon {norm.Epsilon.ToString("g3", CultureInfo.InvariantCulture)}",
        Head { Tied: true } => "tied to the embedding",
        _ => "",
    };

    private static string Facts(Router router) =>
        (router.Scoring == RouterScoring.Softmax ? "softmax" : "sigmoid") +
        (router.Groups == 1 ? "" : $", {router.GroupsKept} of {router.Groups} groups") +
        (router.Renormalize ? ", renormalised" : "") +
        (router.Scale == 1 ? "" : FormattableString.Invariant($", times {router.Scale:0.####}"));

    private static string Facts(Rotary rotary, int headDim) =>
        FormattableString.Invariant($"rotary base {rotary.Theta:0.###}") +
        (rotary.Dimensions == headDim ? "" : $" on {rotary.Dimensions}") +
        (rotary.Interleaved ? ", interleaved" : "") +
        rotary.Scaling switch
        {
            LinearScaling linear => FormattableString.Invariant($", linear x{linear.Factor:0.###}"),
            Llama3Scaling llama =>
                FormattableString.Invariant($", llama3 x{llama.Factor:0.###} from {llama.OriginalContext}"),
            YarnScaling yarn => FormattableString.Invariant($", YaRN x{yarn.Factor:0.###} from {yarn.OriginalContext}"),
            _ => "",
        };

    private static IEnumerable<string> Costs(ModelSpec spec, DType weights, DType cache)
    {
        var counts = ModelCounts.Of(spec);
        (string Left, string Right)[] lines =
        [
            ("parameters", $"{Units.Count(counts.Total)} ({Billions(counts.Total)})"),
            ("active per token", $"{Units.Count(counts.Active)} ({Billions(counts.Active)})"),
            ("weights", $"{Units.Bytes(counts.Total * weights.Bytes())} in {Name(weights)}"),
            ("read per token", $"{Units.Bytes(counts.BytesPerToken(weights))} in {Name(weights)}"),
            ("cache per token", $"{Units.Count(counts.KvBytesPerToken(cache))} bytes in {Name(cache)}"),
            ("cache of a full context", Units.Bytes(counts.KvBytesPerToken(cache) * spec.ContextLength)),
        ];
        return Columns(lines);
    }

    /// <summary>
    /// Layers that differ in nothing but their number, as lists of numbers, in the order of the first of each.
    /// </summary>
    private static IEnumerable<IReadOnlyList<int>> Kinds(ImmutableArray<LayerSpec> layers)
    {
        var kinds = new List<List<int>>();
        for (var index = 0; index < layers.Length; index++)
        {
            var kind = kinds.Find(kind => IsAlike(layers[kind[0]], layers[index]));
            if (kind is null)
            {
                kinds.Add(kind = []);
            }

            kind.Add(index);
        }

        return kinds;
    }

    /// <summary>0, 2..4</summary>
    private static string Ranges(IReadOnlyList<int> numbers)
    {
        var ranges = new List<(int First, int Last)>();
        foreach (var number in numbers)
        {
            if (ranges.Count > 0 && ranges[^1].Last == number - 1)
            {
                ranges[^1] = (ranges[^1].First, number);
            }
            else
            {
                ranges.Add((number, number));
            }
        }

        return string.Join(
            ", ",
            ranges.Select(range => range.First == range.Last ? $"{range.First}" : $"{range.First}..{range.Last}"));
    }

    private static bool IsAlike(LayerSpec a, LayerSpec b) =>
        a.Parts.Select(Nameless).SequenceEqual(b.Parts.Select(Nameless));

    private static Part Nameless(Part part) => part with { Name = "" };

    private static string Billions(long count) => count >= 1_000_000_000
        ? FormattableString.Invariant($"{count / 1e9:0.00} B")
        : FormattableString.Invariant($"{count / 1e6:0.00} M");

    private static string Name(DType type) => type switch
    {
        DType.F32 => "float32",
        DType.F16 => "float16",
        DType.BF16 => "bfloat16",
        DType.F8E4M3 => "fp8_e4m3",
        _ => "int32",
    };
}
