using LsglangSharp.Api.Cli;
using LsglangSharp.GpuPrefill.Interop;
using LsglangSharp.Runtime.Primitives;

try
{
    return await CommandLine.RunAsync(args);
}
catch (ConfigurationException fault)
{
    Console.Error.WriteLine($"lsglang: {fault.Message}");
    return 2;
}
catch (CudaException fault)
{
    Console.Error.WriteLine($"lsglang: {fault.Message}");
    return 71;
}
catch (Exception fault)
{
    Console.Error.WriteLine($"lsglang: an error that should not happen ended the program. Please report it.\n{fault}");
    return 70;
}
