using LsglangSharp.NumaExperts;
using LsglangSharp.Runtime.Ports;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Runtime.Reference;
using LsglangSharp.Support;

namespace LsglangSharp.Benchmarks;

/// <summary>How far each device lies from the golden models, as a table.</summary>
internal static class GoldenMargins
{
    public static int Run()
    {
        Console.WriteLine("Largest difference of a prompt's logits from the float32 reference, as a share of its largest logit:");
        Console.WriteLine("the prompt in one step / token by token. The last column is the reference's own run in bfloat16.");
        Console.WriteLine();
        Console.WriteLine($"| {"case",-16} | {"device",-9} | {"float32",-19} | {"bfloat16",-19} | {"float16",-19} | reference bf16 |");
        Console.WriteLine("|---|---|---|---|---|---|");
        foreach (var golden in GoldenCase.Names.Select(GoldenCase.Open))
        {
            foreach (var newDevice in new Func<IDevice>[] { () => new ReferenceDevice(), () => new CpuDevice(new()) })
            {
                using var device = newDevice();
                Console.WriteLine(
                    $"| {golden.Name,-16} | {device.Name,-9} | {Margins(golden, device, DType.F32)} | "
                    + $"{Margins(golden, device, DType.BF16)} | {Margins(golden, device, DType.F16)} | "
                    + $"{golden.BFloat16Deviation,14:E2} |");
            }
        }

        return 0;
    }

    private static string Margins(GoldenCase golden, IDevice device, DType type)
    {
        var model = new PagedModel(device, golden.Folder, type, type, pageSize: 16);
        double Share(int chunk) => golden.Share(model.Prefill(new PagedSequence(golden.Prompt), chunk), golden.Logits);
        return $"{Share(golden.Prompt.Length):E2} / {Share(1):E2}";
    }
}
