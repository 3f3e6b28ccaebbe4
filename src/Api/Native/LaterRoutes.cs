using LsglangSharp.Api.Http;

namespace LsglangSharp.Api.Native;

/// <summary>Routes that servers of this kind have and this one has not: they answer 501 and a sentence, not a bare 404.</summary>
internal static class LaterRoutes
{
    private static readonly string[] _any = ["GET", "POST", "PUT", "DELETE"];

    private static readonly (string Paths, string Sentence)[] _later =
    [
        ("/v1/responses /v1/responses/*", "The Responses API is not served yet; use /v1/chat/completions."),
        ("/v1/messages /v1/messages/count_tokens",
            "Anthropic's Messages API is not served yet; use /v1/chat/completions."),
        ("/api/chat /api/generate /api/show /api/tags", "Ollama's API is not served yet; use /v1/chat/completions."),
        ("/v1/embeddings /encode /classify /v1/classify /v1/score /v1/rerank",
            "This server generates text; it does not embed, classify or rank."),
        ("/v1/audio/transcriptions /v1/realtime", "This model understands text only."),
        ("/vertex_generate", "Use /generate."),
        ("/load_lora_adapter /unload_lora_adapter /load_lora_adapter_from_tensors",
            "LoRA adapters are not supported yet."),
        ("/open_session /close_session", "There are no sessions; send the whole conversation, its prefix is cached."),
        ("/pause_generation /continue_generation", "Pausing is not supported yet."),
        ("/update_weights_from_disk /update_weights_from_tensor /update_weights_from_distributed /update_weights_from_ipc "
            + "/init_weights_update_group /destroy_weights_update_group /update_weight_version /get_weights_by_name /weights_checker",
            "Weights are loaded once, at the start."),
        ("/start_profile /stop_profile /set_trace_level /freeze_gc /configure_logging /slow_down /set_internal_state "
            + "/release_memory_occupation /resume_memory_occupation /start_expert_distribution_record "
            + "/stop_expert_distribution_record /dump_expert_distribution_record /hicache/storage-backend /add_external_corpus "
            + "/remove_external_corpus /list_external_corpora", "This server has no such operation."),
    ];

    public static void AddTo(Routes routes)
    {
        foreach (var (paths, sentence) in _later)
        {
            foreach (var path in paths.Split(' '))
            {
                routes.Add(new RouteEntry(path, _any, Access.Key, context => throw new RequestException(new Failure(
                    501, $"{context.Request.Path} is not implemented. {sentence}", null, "not_implemented"))));
            }
        }
    }
}
