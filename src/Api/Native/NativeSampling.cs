using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.OpenAi;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Api.Native;

/// <summary>sampling_params of native requests.</summary>
internal static class NativeSampling
{
    private const int NewTokensDefault = 128;

    private static readonly string[] _known =
    [
        "max_new_tokens", "min_new_tokens", "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty",
        "repetition_penalty", "stop", "stop_token_ids", "stop_regex", "ignore_eos", "skip_special_tokens",
        "spaces_between_special_tokens", "no_stop_trim", "n", "logit_bias", "sampling_seed", "seed", "json_schema", "regex", "ebnf",
        "structural_tag", "custom_params", "stream_interval",
    ];

    /// <summary>One set of values for all prompts or a list with one for each.</summary>
    public static IReadOnlyList<(SamplingOptions Options, int Choices)> ReadAll(
        Fields request, int prompts, ServerContext server)
    {
        const string name = "sampling_params";
        if (request.Any(name) is not { } given)
        {
            var defaults = (new SamplingOptions(), 1);
            return [.. Enumerable.Repeat(defaults, prompts)];
        }

        if (given.ValueKind == JsonValueKind.Object)
        {
            var all = Read(new Fields(given, name), server);
            return [.. Enumerable.Repeat(all, prompts)];
        }

        if (given.ValueKind != JsonValueKind.Array)
        {
            throw Fields.Wrong(name, "an object or a list of objects", given);
        }

        return given.GetArrayLength() == prompts
            ? [.. Fields.ListOf(given, name).Select(item => Read(Fields.Of(item.Value, item.Path), server))]
            : throw new RequestException(
                $"'{name}' must have one entry for each of the {prompts} prompts, got {given.GetArrayLength()}.", name);
    }

    /// <summary>
    /// Who names no limit gets the default one, or what the context has room for: not being told that the default is too large.
    /// </summary>
    public static SamplingOptions Limited(SamplingOptions options, int promptTokens, ServerContext server) =>
        options.MaxNewTokens is null
            ? options with
            {
                MaxNewTokens = Math.Clamp(server.Engine.Facts.ContextLength - promptTokens, 1, NewTokensDefault),
            }
            : options;

    private static (SamplingOptions Options, int Choices) Read(Fields values, ServerContext server)
    {
        foreach (var entry in values.Element.EnumerateObject())
        {
            if (!_known.Contains(entry.Name))
            {
                var nearest = _known.MinBy(name => Distance(name, entry.Name));
                throw values.Bad(entry.Name, $"is not a sampling parameter; the nearest one is '{nearest}'");
            }
        }

        SamplingFields.RefuseUnsupported(values);
        var tokensMax = values.Integer("max_new_tokens", least: 0);
        var options = SamplingFields.ReadUnchecked(values, tokensMax, new SamplingDefaults(), server) with
        {
            MinNewTokens = values.Integer("min_new_tokens", least: 0) ?? 0,
            Seed = values.Long("sampling_seed") ?? values.Long("seed"),
        };
        SamplingFields.RequireValid(options, server);
        return (options, SamplingFields.Choices(values));
    }

    /// <summary>Letters to insert, delete or replace to get from one name to the other.</summary>
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}
