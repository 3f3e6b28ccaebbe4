using System.Runtime.CompilerServices;

// Every argument of the C ABI is blittable; an accidental conversion is a compile error.
[assembly: DisableRuntimeMarshalling]
