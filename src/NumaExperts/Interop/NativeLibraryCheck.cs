using LsglangSharp.Runtime.Primitives;

namespace LsglangSharp.NumaExperts.Interop;

/// <summary>Turns a missing or foreign liblk_moe.so into one sentence, before the first real call.</summary>
internal static class NativeLibraryCheck
{
    private static readonly Lazy<string?> _complaint = new(Complaint);

    public static void Ensure()
    {
        if (_complaint.Value is { } complaint)
        {
            throw new ConfigurationException(complaint);
        }
    }

    private static string? Complaint()
    {
        try
        {
            var version = LkMoe.AbiVersion();
            return version == LkMoe.AbiVersionExpected
                ? null
                : $"liblk_moe.so has ABI version {version} and {LkMoe.AbiVersionExpected} is needed: rebuild, or install "
                    + "both from one release";
        }
        catch (DllNotFoundException failure)
        {
            return $"liblk_moe.so was not found in {AppContext.BaseDirectory}, or cannot be loaded there: build with cmake "
                + $"and a C++20 compiler at hand, or install the whole release ({failure.Message.Split('\n')[0].Trim()})";
        }
        catch (Exception failure) when (failure is EntryPointNotFoundException or BadImageFormatException)
        {
            return $"liblk_moe.so is not the library of this release: {failure.Message}";
        }
    }
}
