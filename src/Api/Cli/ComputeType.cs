using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.Api.Cli;

/// <summary>What --dtype means for a checkpoint.</summary>
internal static class ComputeType
{
    /// <summary>auto keeps 16-bit checkpoints as they are and runs float32 ones in float16, as sglang does.</summary>
    public static DType Of(string name, DType checkpoint) => name switch
    {
        "float32" or "float" => DType.F32,
        "bfloat16" => DType.BF16,
        "float16" or "half" => DType.F16,
        "auto" => checkpoint == DType.BF16 ? DType.BF16 : DType.F16,
        _ => throw new ConfigurationException($"--dtype {name}: auto, float32, bfloat16 and float16 are known."),
    };

    /// <summary>What --kv-cache-dtype means.</summary>
    /// <param name="name">What was given.</param>
    /// <param name="byDefault">
    /// What auto is: float32 on the CPU, because rounding keys and values would turn differences in the last bit, which come with every
    /// other way to batch, into differences that change sampled tokens; on a GPU, whose memory is what limits, the weights' type.
    /// </param>
    /// <param name="onCuda">Keys and values lie in a CUDA device's memory, whose kernels know one 8-bit type.</param>
    public static DType OfCache(string name, DType byDefault, bool onCuda) => name switch
    {
        "auto" => byDefault,
        "float32" => DType.F32,
        "float16" => DType.F16,
        "bf16" or "bfloat16" => DType.BF16,
        "fp8_e4m3" when onCuda => DType.F8E4M3,
        "fp8_e4m3" => throw new ConfigurationException(
            "--kv-cache-dtype fp8_e4m3 needs --device cuda; on the CPU auto, float32, float16 and bfloat16 are supported."),
        "fp8_e5m2" => throw new ConfigurationException(
            "--kv-cache-dtype fp8_e5m2 is not supported: with two bits of fraction it loses more than fp8_e4m3, which takes "
            + "the same memory on --device cuda."),
        _ => throw new ConfigurationException(
            $"--kv-cache-dtype {name} is not supported; auto, float32, float16, bfloat16 and, with --device cuda, fp8_e4m3 are."),
    };
}
