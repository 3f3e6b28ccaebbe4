using System.Text.Json;
using LsglangSharp.Api.Http;
using LsglangSharp.Api.OpenAi;
using LsglangSharp.Runtime.Generation;

namespace LsglangSharp.Api.Native;

/// <summary>A native /generate request, read and checked.</summary>
internal sealed record GenerateRequest
{
    private const int PromptsMax = 1024;

    private static readonly string[] _media = ["image_data", "video_data", "audio_data"];

    /// <summary>Prompt-major: all choices of the first prompt, then those of the second.</summary>
    public required IReadOnlyList<GenerationRequest> Generations { get; init; }

    /// <summary>The answer is a list, also where it has one entry.</summary>
    public required bool IsList { get; init; }

    public required bool Streaming { get; init; }

    /// <summary>Log-probability entries name their tokens' text.</summary>
    public required bool TextInLogprobs { get; init; }

    public static GenerateRequest Read(Fields request, ServerContext server)
    {
        RefuseUnsupported(request);
        var (prompts, isBatch) = ReadPrompts(request, server);
        var sampling = NativeSampling.ReadAll(request, prompts.Count, server);
        var choices = sampling[0].Choices;
        if (sampling.Any(each => each.Choices != choices))
        {
            throw new RequestException(
                "'sampling_params.n' must be the same for all prompts of a batch.",
                "sampling_params");
        }

        var ids = ReadIds(request, prompts.Count, isBatch);
        var wantsLogprobs = PerPrompt(request, "return_logprob", prompts.Count, AsFlag) ?? new bool[prompts.Count];
        var starts = PerPrompt(request, "logprob_start_len", prompts.Count, AtLeast(-1));
        var tops = PerPrompt(request, "top_logprobs_num", prompts.Count, AtLeast(0));
        var priority = request.Integer("priority") ?? 0;
        var salt = RequestIds.CacheSalt(request);
        var textInLogprobs = request.Flag("return_text_in_logprobs") ?? false;
        if (textInLogprobs)
        {
            server.TextFor("'return_text_in_logprobs'", "return_text_in_logprobs");
        }

        return new GenerateRequest
        {
            Generations = [.. Enumerable.Range(0, prompts.Count * choices).Select(Generation)],
            IsList = isBatch || choices > 1,
            Streaming = request.Flag("stream") ?? false,
            TextInLogprobs = textInLogprobs,
        };

        GenerationRequest Generation(int index)
        {
            var prompt = index / choices;
            return new GenerationRequest
            {
                Id = RequestIds.ForChoice(ids[prompt], index % choices),
                Prompt = prompts[prompt],
                Sampling = SamplingFields.ForChoice(
                    NativeSampling.Limited(sampling[prompt].Options, prompts[prompt].Length, server), index % choices),
                ReturnLogprobs = wantsLogprobs[prompt],
                PromptLogprobStart = wantsLogprobs[prompt] ? starts?[prompt] ?? -1 : -1,
                TopLogprobs = wantsLogprobs[prompt] ? tops?[prompt] ?? 0 : 0,
                Priority = priority,
                CacheSalt = salt,
            };
        }
    }

    private static void RefuseUnsupported(Fields request)
    {
        SamplingFields.RefuseUnsupported(request);
        if (request.Has("token_ids_logprob"))
        {
            throw new RequestException(Failure.NotSupported(
                "token_ids_logprob", "log-probabilities of chosen tokens only; use 'top_logprobs_num'."));
        }

        foreach (var name in _media)
        {
            if (request.Has(name))
            {
                throw new RequestException($"Model only supports text input; received '{name}'.", name);
            }
        }
    }

    private static (IReadOnlyList<int[]> Prompts, bool IsBatch) ReadPrompts(Fields request, ServerContext server)
    {
        var text = request.Any("text");
        var ids = request.Any("input_ids");
        if ((text is null) == (ids is null))
        {
            throw new RequestException(
                text is null ? "One of 'text' and 'input_ids' is needed." : "Only one of 'text' and 'input_ids' can be given.", "text");
        }

        var (prompts, isBatch) = text is { } given ? ReadTexts(given, server) : ReadTokens(ids!.Value);
        var name = text is null ? "input_ids" : "text";
        if (prompts.Count == 0 || prompts.Any(prompt => prompt.Length == 0))
        {
            throw new RequestException($"'{name}' must not be empty.", name);
        }

        return prompts.Count <= PromptsMax
            ? (prompts, isBatch)
            : throw new RequestException($"A batch takes at most {PromptsMax} prompts, got {prompts.Count}.", name);
    }

    private static (IReadOnlyList<int[]> Prompts, bool IsBatch) ReadTexts(JsonElement text, ServerContext server)
    {
        var encoder = server.TextFor("A text prompt", "text");
        if (text.ValueKind == JsonValueKind.String)
        {
            return ([encoder.Encode(text.GetString()!, addSpecialTokens: true)], false);
        }

        if (text.ValueKind != JsonValueKind.Array)
        {
            throw Fields.Wrong("text", "a string or a list of strings", text);
        }

        return ([.. Fields.ListOf(text, "text").Select(item => item.Value.ValueKind == JsonValueKind.String
            ? encoder.Encode(item.Value.GetString()!, addSpecialTokens: true)
            : throw Fields.Wrong(item.Path, "a string", item.Value))], true);
    }

    private static (IReadOnlyList<int[]> Prompts, bool IsBatch) ReadTokens(JsonElement ids) =>
        ids.ValueKind == JsonValueKind.Array && ids.GetArrayLength() > 0 && ids[0].ValueKind == JsonValueKind.Array
            ? ([.. Fields.ListOf(ids, "input_ids").Select(item => Fields.TokensOf(item.Value, item.Path))], true)
            : ([Fields.TokensOf(ids, "input_ids")], false);

    private static string[] ReadIds(Fields request, int count, bool isBatch)
    {
        if (request.Any("rid") is not { ValueKind: JsonValueKind.Array })
        {
            var id = RequestIds.Read(request);
            return isBatch ? [.. Enumerable.Range(0, count).Select(index => $"{id}_{index}")] : [id];
        }

        var ids = request.Texts("rid");
        return ids.Count == count
            ? [.. ids]
            : throw request.Bad("rid", $"must have one entry for each of the {count} prompts, got {ids.Count}");
    }

    private static Func<JsonElement, string, int> AtLeast(int least) => (value, path) =>
        Fields.AsInteger(value, path) is var number && number >= least
            ? number
            : throw new RequestException($"'{path}' must be at least {least}, got {number}.", path);

    private static bool AsFlag(JsonElement value, string path) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Fields.Wrong(path, "true or false", value),
    };

    /// <summary>One value for all prompts or a list with one for each.</summary>
    private static T[]? PerPrompt<T>(Fields request, string name, int count, Func<JsonElement, string, T> read)
    {
        if (request.Any(name) is not { } value)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            var one = read(value, name);
            return [.. Enumerable.Repeat(one, count)];
        }

        return value.GetArrayLength() == count
            ? [.. Fields.ListOf(value, name).Select(item => read(item.Value, item.Path))]
            : throw new RequestException(
                $"'{name}' must have one entry for each of the {count} prompts, got {value.GetArrayLength()}.", name);
    }
}
