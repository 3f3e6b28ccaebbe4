using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using LsglangSharp.NumaExperts.Interop;
using LsglangSharp.Runtime.Primitives;
using LsglangSharp.Support;

namespace LsglangSharp.NumaExperts.Tests.Interop;

/// <summary>The managed mirror of lk_moe.h. The same numbers stand in abi.cpp.</summary>
public sealed class AbiTests
{
    [Theory]
    [InlineData(typeof(LkDeviceConfig), 48)]
    [InlineData(typeof(LkExpertsConfig), 24)]
    [InlineData(typeof(LkSlice), 24)]
    [InlineData(typeof(LkTensor), 32)]
    [InlineData(typeof(LkRouter), 40)]
    [InlineData(typeof(LkKvLayer), 80)]
    [InlineData(typeof(LkAttentionBatch), 40)]
    [InlineData(typeof(LkMailboxSlot), 48)]
    [InlineData(typeof(LkMailbox), 32)]
    [InlineData(typeof(LkMailboxRequest), 16)]
    public void Structs_have_the_size_of_the_header(Type type, int bytes) =>
        Assert.Equal(bytes, Marshal.SizeOf(type));

    [Theory]
    [InlineData(typeof(LkDeviceConfig), nameof(LkDeviceConfig.Threads), 4)]
    [InlineData(typeof(LkDeviceConfig), nameof(LkDeviceConfig.ParkMicros), 24)]
    [InlineData(typeof(LkDeviceConfig), nameof(LkDeviceConfig.Cores), 32)]
    [InlineData(typeof(LkDeviceConfig), nameof(LkDeviceConfig.Root), 40)]
    [InlineData(typeof(LkExpertsConfig), nameof(LkExpertsConfig.TopK), 12)]
    [InlineData(typeof(LkExpertsConfig), nameof(LkExpertsConfig.Intermediate), 20)]
    [InlineData(typeof(LkSlice), nameof(LkSlice.RowStart), 8)]
    [InlineData(typeof(LkSlice), nameof(LkSlice.Node), 20)]
    [InlineData(typeof(LkTensor), nameof(LkTensor.RowStride), 8)]
    [InlineData(typeof(LkTensor), nameof(LkTensor.Type), 24)]
    [InlineData(typeof(LkRouter), nameof(LkRouter.Scoring), 16)]
    [InlineData(typeof(LkRouter), nameof(LkRouter.Scale), 36)]
    [InlineData(typeof(LkKvLayer), nameof(LkKvLayer.PageSize), 64)]
    [InlineData(typeof(LkAttentionBatch), nameof(LkAttentionBatch.PageTableStride), 24)]
    [InlineData(typeof(LkAttentionBatch), nameof(LkAttentionBatch.PagesPerSequence), 36)]
    [InlineData(typeof(LkMailboxSlot), nameof(LkMailboxSlot.Done), 8)]
    [InlineData(typeof(LkMailboxSlot), nameof(LkMailboxSlot.Y), 40)]
    [InlineData(typeof(LkMailbox), nameof(LkMailbox.Fault), 16)]
    [InlineData(typeof(LkMailbox), nameof(LkMailbox.Slot), 24)]
    [InlineData(typeof(LkMailboxRequest), nameof(LkMailboxRequest.Slot), 8)]
    [InlineData(typeof(LkMailboxRequest), nameof(LkMailboxRequest.TopK), 12)]
    public void Fields_lie_where_the_header_puts_them(Type type, string field, int offset) =>
        Assert.Equal(offset, (int)Marshal.OffsetOf(type, field));

    [Fact]
    public void Every_function_of_the_header_is_declared_once_and_in_its_order()
    {
        var header = File.ReadAllText(Path.Combine(Repository.Root, "native/lk_moe/include/lk_moe.h"));
        var mirror = File.ReadAllText(Path.Combine(Repository.Root, "src/NumaExperts/Interop/LkMoe.cs"));

        var exported = Regex.Matches(header, @"^LK_API [\w\s\*]*?\b(lk_\w+)\(", RegexOptions.Multiline);
        var imported = Regex.Matches(mirror, @"EntryPoint = ""(lk_\w+)""");

        Assert.Equal(exported.Select(match => match.Groups[1].Value), imported.Select(match => match.Groups[1].Value));
    }

    [Fact]
    public void Element_types_have_one_number_on_both_sides() =>
        Assert.All(Enum.GetValues<DType>().Except([DType.F8E4M3]), type => Assert.Equal((int)type, (int)type.ToLk()));

    [Fact]
    public void A_type_that_only_other_devices_have_is_refused() =>
        Assert.Throws<InvariantException>(() => DType.F8E4M3.ToLk());

    [Fact]
    public void The_library_has_the_version_that_is_expected() =>
        Assert.Equal(LkMoe.AbiVersionExpected, LkMoe.AbiVersion());

    [Fact]
    public unsafe void A_failure_carries_the_sentence_of_the_library()
    {
        var failure = Assert.Throws<LkException>(
            () => LkException.ThrowIfFailed(LkMoe.TopologyDescribe(null, null, 5, out _)));

        Assert.Equal(LkStatus.InvalidArgument, failure.Status);
        Assert.Contains("text must be set", failure.Message, StringComparison.Ordinal);
    }
}
