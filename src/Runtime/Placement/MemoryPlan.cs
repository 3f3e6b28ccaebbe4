using System.Globalization;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Specs;

namespace LsglangSharp.Runtime.Placement;

/// <summary>
/// Where the memory goes, decided before a byte is loaded. <paramref name="DeviceWeightBytes"/> and
/// <paramref name="ExpertWeightBytes"/>: weights by residency; <paramref name="ScratchBytes"/>: activations of the
/// largest step; <paramref name="CachedTokens"/>: slots of the cache, whole pages.
/// </summary>
public sealed record MemoryPlan(
    long DeviceWeightBytes,
    long ExpertWeightBytes,
    long ScratchBytes,
    long CacheBytesPerToken,
    int CachedTokens,
    long BytesAvailable)
{
    /// <summary>
    /// A server whose cache holds less than this (or than its context, if that is shorter) is of no use.
    /// </summary>
    private const int CachedTokensMin = 1024;

    public long WeightBytes => DeviceWeightBytes + ExpertWeightBytes;

    public long CacheBytes => CachedTokens * CacheBytesPerToken;

    public long Bytes => WeightBytes + ScratchBytes + CacheBytes;

    /// <summary>
    /// Throws <see cref="ConfigurationException"/> with the numbers and the ways out when the request cannot be met.
    /// </summary>
    public static MemoryPlan Make(MemoryRequest request)
    {
        Check.That(request.PageSize > 0 && request.StaticFraction is >= 0 and <= 1);
        var plan = new MemoryPlan(
            WeightBytesOf(request.Spec, request.Weights, Residency.Device),
            WeightBytesOf(request.Spec, request.Weights, Residency.Experts),
            ScratchBytesOf(request),
            Math.Max(1, request.Spec.Layers.Sum(layer => layer.Mix.CachedElementsPerToken) * request.Cache.Bytes()),
            0,
            request.BytesAvailable);
        return plan with { CachedTokens = Tokens(plan, request) };
    }

    private static int Tokens(MemoryPlan plan, MemoryRequest request)
    {
        var needed = RoundUp(Math.Min(CachedTokensMin, request.ContextLength), request.PageSize);
        var left = request.BytesAvailable - plan.WeightBytes - plan.ScratchBytes;
        var fitting = RoundDown(left / plan.CacheBytesPerToken);
        var asked = request.TotalTokens ?? int.MaxValue;
        if (fitting < Math.Min(needed, RoundUp(asked, request.PageSize)))
        {
            throw TooSmall(plan with { CachedTokens = (int)needed });
        }

        if (Asked() is (var tokens, { } option))
        {
            if (tokens == 0)
            {
                throw new ConfigurationException(
                    $"{option} leaves no room in the cache; a page of {request.PageSize} tokens takes " +
                    Units.Bytes(request.PageSize * plan.CacheBytesPerToken));
            }

            return tokens <= fitting
                ? Clamp(tokens)
                : throw new ConfigurationException(
                    $"{option} asks for {Units.Bytes(tokens * plan.CacheBytesPerToken)} of cache beside " +
                    $"{Units.Bytes(plan.WeightBytes)} of weights and {Units.Bytes(plan.ScratchBytes)} of " +
                    $"activations, {Units.Bytes(plan.BytesAvailable)} are available; at most {fitting} tokens " +
                    $"({Units.Bytes(fitting * plan.CacheBytesPerToken)}) fit");
        }

        // Scratch is taken from the part that is not static; where that is too small, the cache gives way.
        var budget = (long)(request.BytesAvailable * request.StaticFraction) - plan.WeightBytes;
        var useful = request.UsefulTokens is { } most ? RoundUp(most, request.PageSize) : long.MaxValue;
        var derived = Math.Min(Math.Min(RoundDown(budget / plan.CacheBytesPerToken), fitting), useful);
        return derived >= Math.Min(needed, useful)
            ? Clamp(derived)
            : throw new ConfigurationException(
                $"--mem-fraction-static {request.StaticFraction.ToString(CultureInfo.InvariantCulture)} of " +
                $"{Units.Bytes(plan.BytesAvailable)} leaves no room for a cache beside " +
                $"{Units.Bytes(plan.WeightBytes)} of weights; raise it, or set --max-total-tokens " +
                $"(at most {fitting} fit)");

        (long Tokens, string? Option) Asked() => (request.TotalTokens, request.CacheBytes) switch
        {
            ({ } total, { } bytes) when bytes / plan.CacheBytesPerToken < total => FromBytes(bytes),
            ({ } total, _) => (RoundUp(total, request.PageSize), $"--max-total-tokens {total}"),
            (null, { } bytes) => FromBytes(bytes),
            _ => (0, null),
        };

        (long Tokens, string? Option) FromBytes(long bytes) =>
            (RoundDown(bytes / plan.CacheBytesPerToken), $"VLLM_CPU_KVCACHE_SPACE ({Units.Bytes(bytes)})");

        long RoundDown(long tokens) => tokens / request.PageSize * request.PageSize;

        // Slots are numbered with ints.
        int Clamp(long tokens) => (int)Math.Min(tokens, RoundDown(int.MaxValue));
    }

    private static ConfigurationException TooSmall(MemoryPlan plan) => new(
        $"not enough memory: the model needs {Units.Bytes(plan.Bytes)} (weights {Units.Bytes(plan.WeightBytes)}, " +
        $"activations {Units.Bytes(plan.ScratchBytes)}, cache for {plan.CachedTokens} tokens " +
        $"{Units.Bytes(plan.CacheBytes)}), {Units.Bytes(plan.BytesAvailable)} are available; options: free memory, " +
        "a smaller --chunked-prefill-size, --dtype bfloat16 where it is float32, or a smaller model");

    private static long RoundUp(long tokens, int pageSize) => (tokens + pageSize - 1) / pageSize * pageSize;

    /// <summary>Vectors are float32, whatever matrices are. One expert is counted for all of its layer.</summary>
    private static long WeightBytesOf(ModelSpec spec, DType type, Residency residency)
    {
        return spec.Parts.Sum(part => part is Moe moe
            ? Sum(moe.Common) + (moe.Router.Experts * Sum(moe.Expert(0).All))
            : Sum(part.Tensors));

        long Sum(IEnumerable<TensorSpec> tensors) => tensors
            .Where(tensor => tensor.Residency == residency)
            .Sum(tensor => tensor.ElementCount * (tensor.Shape.Length == 1 ? DType.F32 : type).Bytes());
    }

    /// <summary>
    /// An upper bound: a row of float32 for each value that a layer has at once (residual, normed, mixed and their sum;
    /// q, k, v, the attention's result and the angles; both halves of the widest MLP; for each chosen expert its halves
    /// and its result), and the logits.
    /// </summary>
    private static long ScratchBytesOf(MemoryRequest request)
    {
        var spec = request.Spec;
        long hidden = spec.Embedding.Hidden;
        var mixer = spec.Layers.Max(layer => MixerRow(layer.Mix));
        var ffn = spec.Layers.Max(layer => FfnRow(layer.Ffn, hidden));
        var row = (4 * hidden) + mixer + ffn;
        var logits = (long)request.LogitRowsMax * spec.Head.Vocabulary;
        return ((request.StepTokensMax * row) + logits) * DType.F32.Bytes();
    }

    private static long MixerRow(Mixer mixer) =>
        mixer is Gqa gqa ? (2L * (gqa.Heads + gqa.KvHeads) * gqa.HeadDim) + gqa.Rotary.Dimensions : 0;

    private static long FfnRow(Ffn ffn, long hidden) => ffn switch
    {
        Mlp mlp => 2L * mlp.Intermediate,
        Moe moe => (moe.Router.TopK * ((2L * moe.Intermediate) + hidden)) + (2L * (moe.Shared?.Intermediate ?? 0)),
        _ => 0,
    };
}
