using System.Runtime.CompilerServices;

// Every argument of the driver API is blittable; an accidental conversion is a compile error.
[assembly: DisableRuntimeMarshalling]
