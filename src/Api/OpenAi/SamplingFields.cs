using LsglangSharp.Api.Http;
using LsglangSharp.Runtime.Sampling;

namespace LsglangSharp.Api.OpenAi;

/// <summary>The sampling values of OpenAI-style requests, with this family's extensions.</summary>
internal static class SamplingFields
{
    public const int ChoicesMax = 128;
    public const int TopLogprobsMax = 20;

    private const int StopStringsMax = 64;

    /// <summary>Fields that would change the answer but that nothing here honours: refused, never ignored.</summary>
    private static readonly (string Name, string Why)[] _unsupported =
    [
        ("regex", "answers cannot be held to a grammar yet."),
        ("ebnf", "answers cannot be held to a grammar yet."),
        ("json_schema", "answers cannot be held to a grammar yet."),
        ("structural_tag", "answers cannot be held to a grammar yet."),
        ("stop_regex", "only 'stop' strings and 'stop_token_ids' end a generation."),
        ("custom_logit_processor", "the server runs no code of its clients."),
        ("lora_path", "no LoRA adapters are loaded."),
        ("session_params", "there are no sessions; send the whole conversation, its prefix is cached."),
        ("session_id", "there are no sessions; send the whole conversation, its prefix is cached."),
        ("return_hidden_states", "hidden states are not given out."),
        ("return_routed_experts", "routed experts are not given out."),
        ("input_embeds", "send text or token ids."),
    ];

    public static SamplingOptions Read(Fields request, int? tokensMax, SamplingDefaults defaults, ServerContext server)
    {
        var options = ReadUnchecked(request, tokensMax, defaults, server) with
        {
            MinNewTokens = request.Integer("min_tokens", least: 0) ?? 0,
            Seed = request.Long("seed"),
        };
        RequireValid(options, server);
        return options;
    }

    /// <summary>All values whose names are the same everywhere.</summary>
    public static SamplingOptions ReadUnchecked(
        Fields request,
        int? tokensMax,
        SamplingDefaults defaults,
        ServerContext server)
    {
        RefuseUnsupported(request);
        var stops = request.Texts("stop");
        if (stops.Count > StopStringsMax)
        {
            throw request.Bad("stop", $"takes at most {StopStringsMax} strings, got {stops.Count}");
        }

        if (stops.Count > 0 && server.Model.Text is null)
        {
            throw request.Bad(
                "stop",
                "strings need a tokenizer, and this server runs without one; use 'stop_token_ids'");
        }

        return new SamplingOptions
        {
            MaxNewTokens = tokensMax,
            Temperature = (float)(request.Number("temperature") ?? defaults.Temperature ?? 1),
            TopP = (float)(request.Number("top_p") ?? defaults.TopP ?? 1),
            TopK = request.Integer("top_k") ?? defaults.TopK ?? -1,
            MinP = (float)(request.Number("min_p") ?? defaults.MinP ?? 0),
            RepetitionPenalty = (float)(request.Number("repetition_penalty") ?? defaults.RepetitionPenalty ?? 1),
            FrequencyPenalty = (float)(request.Number("frequency_penalty") ?? 0),
            PresencePenalty = (float)(request.Number("presence_penalty") ?? 0),
            LogitBias = LogitBias(request),
            StopStrings = [.. stops.Where(stop => stop.Length > 0)],
            StopTokenIds = request.Tokens("stop_token_ids"),
            IgnoreEos = request.Flag("ignore_eos") ?? false,
            NoStopTrim = request.Flag("no_stop_trim") ?? false,
            SkipSpecialTokens = request.Flag("skip_special_tokens") ?? true,
        };
    }

    /// <summary>Every complaint begins with the name of the value that it is about.</summary>
    public static void RequireValid(SamplingOptions options, ServerContext server)
    {
        if (options.Validate(server.Engine.Facts.Vocabulary) is { } complaint)
        {
            throw new RequestException(complaint, complaint[..complaint.IndexOf(' ', StringComparison.Ordinal)]);
        }
    }

    public static int Choices(Fields request)
    {
        var n = request.Integer("n", least: 1) ?? 1;
        return n <= ChoicesMax ? n : throw request.Bad("n", $"must be at most {ChoicesMax}, got {n}");
    }

    /// <summary>Values for one of several choices: with one seed they still differ from each other.</summary>
    public static SamplingOptions ForChoice(SamplingOptions options, int choice) =>
        options.Seed is { } seed && choice > 0 ? options with { Seed = unchecked(seed + choice) } : options;

    public static void RefuseUnsupported(Fields request)
    {
        foreach (var (name, why) in _unsupported)
        {
            if (request.Any(name) is { } value && value.ValueKind != System.Text.Json.JsonValueKind.False)
            {
                throw new RequestException(Failure.NotSupported(request.PathOf(name), why));
            }
        }
    }

    /// <summary>Token ids, as JSON must write them, to what is added to their logits.</summary>
    public static Dictionary<int, float>? LogitBias(Fields request)
    {
        if (request.Object("logit_bias") is not { } biases)
        {
            return null;
        }

        var result = new Dictionary<int, float>();
        foreach (var entry in biases.Element.EnumerateObject())
        {
            if (!int.TryParse(entry.Name, System.Globalization.NumberStyles.None, null, out var token))
            {
                throw request.Bad("logit_bias", $"maps token ids to numbers, got the name '{entry.Name}'");
            }

            result[token] = (float)Fields.AsNumber(entry.Value, $"logit_bias.{entry.Name}");
        }

        return result.Count > 0 ? result : null;
    }

    /// <summary>Only plain text is generated; the JSON formats need a grammar.</summary>
    public static void RequireTextFormat(Fields request)
    {
        if (request.Object("response_format") is { } format && format.Text("type") is var type && type != "text")
        {
            throw type is "json_object" or "json_schema" or "structural_tag"
                ? new RequestException(Failure.NotSupported(
                    "response_format", $"'{type}' needs grammars, which this server does not have yet."))
                : format.Bad("type", $"must be one of text, json_object, json_schema, structural_tag, got '{type}'");
        }
    }
}
