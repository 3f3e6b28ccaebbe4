using System.Runtime.InteropServices;
using System.Text;
using LsglangSharp.GpuPrefill.Launch;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.GpuPrefill.Tests.Launch;

/// <summary>What is embedded, and that arguments are held to the kernels' own declarations.</summary>
public sealed class KernelSetTests
{
    [Fact]
    public void Every_kernel_file_is_embedded_for_its_families()
    {
        var folder = Path.Combine(Repository.Root, "src/GpuPrefill/Kernels");
        string[] Names(string path) => Directory.Exists(path)
            ? [.. Directory.EnumerateFiles(path, "*.cu").Select(file => Path.GetFileNameWithoutExtension(file)!)] : [];

        Assert.Equal(Names(folder).Order(), Embedded("sm_80").Order());
        Assert.Equal(Names(folder).Concat(Names(Path.Combine(folder, "sm_90"))).Order(), Embedded("sm_90a").Order());
    }

    [Theory]
    [InlineData("sm_80", "8.0")]
    [InlineData("sm_90a", "8.3")]
    public void Texts_are_written_for_what_their_family_takes(string family, string version) =>
        Assert.All(PtxText.Embedded(family), text =>
        {
            var ptx = Encoding.UTF8.GetString(text.Image);
            Assert.Contains($".target {family}", ptx, StringComparison.Ordinal);
            Assert.Contains($".version {version}", ptx, StringComparison.Ordinal);
            Assert.EndsWith("\0", ptx, StringComparison.Ordinal);
        });

    [Fact]
    public void Kernel_names_are_unique()
    {
        var names = PtxText.Embedded("sm_90a").SelectMany(text => text.Kernels).Select(kernel => kernel.Name).ToArray();

        Assert.NotEmpty(names);
        Assert.Equal(names.Distinct(), names);
    }

    [Fact]
    public void Parameters_are_counted_as_the_text_declares_them()
    {
        const string Text = """
            .visible .entry first(
            	.param .align 8 .b8 first_param_0[56]
            )
            .maxntid 256, 1, 1
            { ld.param.u64 %rd1, [first_param_0]; }
            .visible .entry second_one()
            { ret; }
            """;

        Assert.Equal([("first", 56), ("second_one", 0)], PtxText.KernelsOf(Text));
    }

    [Fact]
    public void Arguments_of_another_size_are_refused()
    {
        using var device = new CudaDevice(new CudaDeviceOptions());

        var failure = Assert.Throws<InvariantException>(() => device.Kernels.Get<Wrong>("rms_norm"));

        Assert.Contains("Wrong has 8 bytes and the kernel rms_norm takes 56", failure.Message, StringComparison.Ordinal);
        Assert.Throws<InvariantException>(() => device.Kernels.Get<Wrong>("no_such_kernel"));
    }

    [Theory]
    [InlineData(1, 1, 2048, 1, 256)]
    [InlineData(7, 1, 1000, 7, 256)]
    [InlineData(7, 1, 513, 7, 256)]
    [InlineData(9, 1, 512, 2, 256)]
    [InlineData(7, 32, 128, 28, 256)]
    [InlineData(3, 4, 33, 2, 256)]
    [InlineData(0, 4, 33, 0, 256)]
    public void A_norm_is_a_warp_a_head_or_a_block_a_row(int rows, int groups, int width, int blocks, int threads) =>
        Assert.Equal(new LaunchGrid(blocks, threads), RmsNorm.Grid(rows, groups, width));

    private static IEnumerable<string> Embedded(string family) => PtxText.Embedded(family).Select(text => text.Name);

    [StructLayout(LayoutKind.Sequential)]
    private struct Wrong
    {
        public long Field;
    }
}
