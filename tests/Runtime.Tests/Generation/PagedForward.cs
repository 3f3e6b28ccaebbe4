using LsglangSharp.Runtime.Ports;

namespace LsglangSharp.Runtime.Tests.Generation;

/// <summary>
/// A model without weights whose logits are a hash of the whole history, read back through the page tables from what
/// was stored in the cache. A wrong page, slot, position or length gives another token.
/// </summary>
internal sealed class PagedForward(int vocabulary, int slots, int pageSize) : IForward
{
    private readonly ulong[] _cache = new ulong[slots];
    private float[] _logits = new float[16 * vocabulary];

    public int Vocabulary => vocabulary;

    /// <summary>Looks at each step before it runs.</summary>
    public Action<StepBatch>? Inspect { get; set; }

    /// <summary>Changes the logits of each step.</summary>
    public Action<StepBatch, float[]>? Spoil { get; set; }

    /// <summary>A machine that fails in a step: what the step stores is garbage then.</summary>
    public Func<StepBatch, Exception?>? Fail { get; set; }

    public int Steps { get; private set; }

    public long Tokens { get; private set; }

    public ReadOnlySpan<float> Run(StepBatch batch)
    {
        Inspect?.Invoke(batch);
        Steps++;
        Tokens += batch.TokenCount;
        for (var row = 0; row < batch.TokenCount; row++)
        {
            _cache[batch.Slots[row]] = Key(batch.Tokens[row], batch.Positions[row]);
        }

        if (Fail?.Invoke(batch) is { } fault)
        {
            foreach (var slot in batch.Slots.AsSpan(0, batch.TokenCount))
            {
                _cache[slot] = ~_cache[slot];
            }

            throw fault;
        }

        if (_logits.Length < batch.LogitRowCount * vocabulary)
        {
            _logits = new float[batch.LogitRowCount * vocabulary];
        }

        var sequence = 0;
        for (var i = 0; i < batch.LogitRowCount; i++)
        {
            var row = batch.LogitRows[i];
            while (row >= batch.QueryStarts[sequence + 1])
            {
                sequence++;
            }

            var last = batch.ContextLengths[sequence] - (batch.QueryStarts[sequence + 1] - row);
            Fill(History(batch, sequence, last + 1), _logits.AsSpan(i * vocabulary, vocabulary));
        }

        Spoil?.Invoke(batch, _logits);
        return _logits.AsSpan(0, batch.LogitRowCount * vocabulary);
    }

    /// <summary>The logits behind these tokens, computed without any cache.</summary>
    public static void Direct(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        ulong hash = 0;
        for (var i = 0; i < tokens.Length; i++)
        {
            hash = Mix(hash ^ Key(tokens[i], i));
        }

        Fill(hash, logits);
    }

    private static ulong Key(int token, int position) => Mix(((ulong)(uint)token << 32) | (uint)position);

    private ulong History(StepBatch batch, int sequence, int length)
    {
        ulong hash = 0;
        for (var position = 0; position < length; position++)
        {
            var page = batch.PageTables[(sequence * batch.PagesPerSequenceMax) + (position / pageSize)];
            hash = Mix(hash ^ _cache[(page * pageSize) + (position % pageSize)]);
        }

        return hash;
    }

    private static void Fill(ulong hash, Span<float> logits)
    {
        for (var token = 0; token < logits.Length; token++)
        {
            hash = Mix(hash + 0x9e3779b97f4a7c15);
            logits[token] = (hash >> 40) * (8f / (1 << 24));
        }
    }

    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 31)) * 0x7fb5d329728ea185;
        value = (value ^ (value >> 27)) * 0x81dadef4bc2dd44d;
        return value ^ (value >> 33);
    }
}
