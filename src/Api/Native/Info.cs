using System.Text.Json;
using LsglangSharp.Api.Http;
using Microsoft.AspNetCore.Http;

namespace LsglangSharp.Api.Native;

/// <summary>What the server says about itself, its model and its load.</summary>
internal sealed class Info(ServerContext server)
{
    private const double RatioSteps = 1e6;

    public Task ModelAsync(HttpContext context) => JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json =>
    {
        var model = server.Model;
        json.WriteStartObject();
        json.WriteString("model_path"u8, model.Path);
        json.WriteString("served_model_name"u8, server.Names.First);
        json.WriteString("tokenizer_path"u8, model.TokenizerPath.Length > 0 ? model.TokenizerPath : model.Path);
        json.WriteBoolean("is_generation"u8, true);
        json.WriteNull("preferred_sampling_params"u8);
        json.WriteString("weight_version"u8, model.WeightVersion);
        json.WriteString("load_format"u8, model.LoadFormat);
        json.WriteString("reasoning_parser"u8, server.ReasoningParser);
        json.WriteString("tool_call_parser"u8, server.ToolCallParser);
        json.WriteBoolean("has_image_understanding"u8, false);
        json.WriteBoolean("has_audio_understanding"u8, false);
        json.WriteString("model_type"u8, model.ModelType);
        json.WriteStartArray("architectures"u8);
        foreach (var architecture in model.Architectures)
        {
            json.WriteStringValue(architecture);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    });

    public Task ServerAsync(HttpContext context) => JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json =>
    {
        var facts = server.Engine.Facts;
        var load = server.Engine.Load;
        json.WriteStartObject();
        WriteArguments(json);
        json.WriteNumber("max_total_num_tokens"u8, facts.KvTokens);
        json.WriteNumber("max_req_input_len"u8, Math.Min(facts.ContextLength, facts.KvTokens) - 1);
        json.WriteNumber("page_size"u8, facts.PageSize);
        json.WriteNumber("vocab_size"u8, facts.Vocabulary);
        json.WriteString("startup_time"u8, server.Started);
        json.WriteStartArray("internal_states"u8);
        json.WriteStartObject();
        json.WriteNumber("last_gen_throughput"u8, load.GenerationThroughput);
        json.WriteNumber("effective_max_running_requests_per_dp"u8, facts.RunningRequestsMax);
        json.WriteNumber("num_running_reqs"u8, load.RunningRequests);
        json.WriteNumber("num_queue_reqs"u8, load.QueuedRequests);
        json.WriteStartObject("memory_usage"u8);
        json.WriteNumber("token_capacity"u8, facts.KvTokens);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteString("version"u8, server.Options.Version);
        json.WriteNull("kv_events"u8);
        json.WriteEndObject();
    });

    /// <summary>One entry a rank; there is one.</summary>
    public Task LoadAsync(HttpContext context) => JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json =>
    {
        var load = server.Engine.Load;
        json.WriteStartArray();
        json.WriteStartObject();
        json.WriteNumber("dp_rank"u8, 0);
        json.WriteNumber("num_reqs"u8, load.RunningRequests + load.QueuedRequests);
        json.WriteNumber("num_waiting_reqs"u8, load.QueuedRequests);
        json.WriteNumber("num_tokens"u8, load.UsedKvTokens);
        json.WriteEndObject();
        json.WriteEndArray();
    });

    public Task LoadsAsync(HttpContext context) => JsonResponse.WriteAsync(context, StatusCodes.Status200OK, json =>
    {
        var facts = server.Engine.Facts;
        var load = server.Engine.Load;
        json.WriteStartObject();
        json.WriteString("timestamp"u8, server.Options.Clock.GetUtcNow());
        json.WriteString("version"u8, server.Options.Version);
        json.WriteNumber("dp_rank_count"u8, 1);
        json.WriteStartArray("loads"u8);
        json.WriteStartObject();
        json.WriteNumber("dp_rank"u8, 0);
        json.WriteNumber("num_running_reqs"u8, load.RunningRequests);
        json.WriteNumber("num_waiting_reqs"u8, load.QueuedRequests);
        json.WriteNumber("num_total_reqs"u8, load.RunningRequests + load.QueuedRequests);
        json.WriteNumber("num_used_tokens"u8, load.UsedKvTokens);
        json.WriteNumber("num_total_tokens"u8, load.UsedKvTokens);
        json.WriteNumber("max_total_num_tokens"u8, facts.KvTokens);
        json.WriteNumber("max_running_requests"u8, facts.RunningRequestsMax);
        json.WriteNumber("token_usage"u8, Ratio(load.UsedKvTokens, facts.KvTokens));
        json.WriteNumber("gen_throughput"u8, load.GenerationThroughput);
        json.WriteNumber("cache_hit_rate"u8, Ratio(load.CachedTokens, load.PromptTokens));
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteStartObject("aggregate"u8);
        json.WriteNumber("total_running_reqs"u8, load.RunningRequests);
        json.WriteNumber("total_waiting_reqs"u8, load.QueuedRequests);
        json.WriteNumber("total_reqs"u8, load.RunningRequests + load.QueuedRequests);
        json.WriteNumber("avg_token_usage"u8, Ratio(load.UsedKvTokens, facts.KvTokens));
        json.WriteNumber("avg_throughput"u8, load.GenerationThroughput);
        json.WriteEndObject();
        json.WriteEndObject();
    });

    /// <summary>A share of a whole, which may still be empty.</summary>
    public static double Ratio(long part, long whole) =>
        whole > 0 ? Math.Round((double)part / whole * RatioSteps) / RatioSteps : 0;

    /// <summary>Keys stay out, whatever the caller put among the arguments.</summary>
    private void WriteArguments(Utf8JsonWriter json)
    {
        foreach (var (name, value) in server.Options.Arguments ?? [])
        {
            if (name.Contains("api_key", StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            json.WritePropertyName(name);
            if (value is null)
            {
                json.WriteNullValue();
            }
            else
            {
                value.WriteTo(json);
            }
        }
    }
}
