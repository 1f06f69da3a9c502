# motley profile 1
#
# What each rank's device was measured to do: seconds of one expert (point) as a function of its rows, and
# of a dense product, by kernels with the settings that were best on it (tuned); of copies
# (move: bytes per second, and seconds of any kernel); and what links do:
# seconds of an exchange (latency) and of each message in it, bytes per second.  Plans are made from it;
# `motley measure` refreshes it; any line may be removed.

link from="vm" to="vm" ranks=3/3 latency=1.0527e-06 message=2.976e-07 bandwidth=4.0733e+09 spread=2.3923e+08 samples=6
link from="vm" to="vm" ranks=2/2 latency=8.8387e-07 message=2.0351e-07 bandwidth=4.7019e+09 spread=1.0987e+08 samples=6

device host="vm" name="NVIDIA H200" driver="580.159.04" family="nvidia" variant="fma" panel=1 kernels=b8760a73563ec85f cores=132 memory=135098892288 place=0/3
  dense T=256 O=512 I=512 path=esmm seconds=9.5232e-05 esmm=9.5232e-05 clblast=0
  copy out=5.2355e+10 in=5.0865e+10
  move bandwidth=4.5859e+12 launch=1.7641e-05
  curve direction=forward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=9.0192e-06 spread=1.9592e-06 samples=15
    point rows=64 seconds=2.7697e-05 spread=1.0852e-07 samples=11
    point rows=256 seconds=2.8357e-05 spread=9.0714e-08 samples=12
  curve direction=backward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=2.9073e-05 spread=1.7253e-06 samples=13
    point rows=64 seconds=6.152e-05 spread=4.7e-08 samples=9
    point rows=256 seconds=8.8632e-05 spread=5.7714e-07 samples=14
  curve direction=forward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=1.0417e-05 spread=6.0701e-08 samples=15
    point rows=64 seconds=5.213e-05 spread=2.0056e-07 samples=11
    point rows=256 seconds=6.3258e-05 spread=6.3662e-07 samples=16
  curve direction=backward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=4.0523e-05 spread=1.4502e-07 samples=14
    point rows=64 seconds=0.00010353 spread=4.5809e-07 samples=12
    point rows=256 seconds=0.00016177 spread=9.0677e-07 samples=12
  curve direction=forward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=3.5449e-05 spread=1.6464e-07 samples=10
    point rows=64 seconds=0.00019256 spread=6.562e-07 samples=9
    point rows=256 seconds=0.00020272 spread=6.1598e-07 samples=9
  curve direction=backward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00016785 spread=9.18e-07 samples=9
    point rows=64 seconds=0.00039594 spread=2.3455e-07 samples=9
    point rows=256 seconds=0.00048785 spread=1.3813e-06 samples=10
  curve direction=forward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00015226 spread=5.8981e-07 samples=11
    point rows=256 seconds=0.00018693 spread=7.4546e-07 samples=9
    point rows=1024 seconds=0.00039619 spread=2.7257e-06 samples=9
  curve direction=backward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00030006 spread=6.8517e-07 samples=7
    point rows=256 seconds=0.00036027 spread=5.5233e-06 samples=19
    point rows=1024 seconds=0.00087415 spread=6.7134e-06 samples=29
  curve direction=forward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=5.1116e-05 spread=1.2641e-07 samples=10
    point rows=256 seconds=5.354e-05 spread=2.1511e-07 samples=10
    point rows=1024 seconds=0.00010962 spread=5.9544e-07 samples=9
  curve direction=backward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=8.6512e-05 spread=2.8446e-07 samples=13
    point rows=256 seconds=0.00013587 spread=1.3604e-06 samples=12
    point rows=1024 seconds=0.00031676 spread=2.0065e-07 samples=9

device host="vm" name="NVIDIA H200" driver="580.159.04" family="nvidia" variant="fma" panel=1 kernels=b8760a73563ec85f cores=132 memory=135098892288 place=1/3
  dense T=256 O=512 I=512 path=esmm seconds=9.4667e-05 esmm=9.4667e-05 clblast=0
  copy out=5.2287e+10 in=5.2093e+10
  move bandwidth=4.5777e+12 launch=1.812e-05
  curve direction=forward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=7.6666e-06 spread=1.684e-06 samples=16
    point rows=64 seconds=2.7649e-05 spread=2.3156e-07 samples=13
    point rows=256 seconds=2.7961e-05 spread=1.317e-07 samples=11
  curve direction=backward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=2.8283e-05 spread=1.981e-06 samples=14
    point rows=64 seconds=6.1419e-05 spread=1.9913e-07 samples=10
    point rows=256 seconds=8.9018e-05 spread=4.4889e-07 samples=13
  curve direction=forward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=1.0507e-05 spread=6.7526e-08 samples=15
    point rows=64 seconds=5.243e-05 spread=3.2044e-08 samples=7
    point rows=256 seconds=6.3108e-05 spread=2.1848e-07 samples=14
  curve direction=backward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=4.1359e-05 spread=2.3052e-07 samples=11
    point rows=64 seconds=0.00010401 spread=6.5602e-07 samples=12
    point rows=256 seconds=0.00016263 spread=3.2152e-07 samples=9
  curve direction=forward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=3.5628e-05 spread=1.5537e-07 samples=8
    point rows=64 seconds=0.00018715 spread=3.3357e-07 samples=9
    point rows=256 seconds=0.00020388 spread=1.2802e-06 samples=9
  curve direction=backward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00016856 spread=6.0185e-07 samples=10
    point rows=64 seconds=0.00039458 spread=1.0484e-06 samples=10
    point rows=256 seconds=0.00048841 spread=7.2822e-07 samples=8
  curve direction=forward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00015097 spread=3.6026e-07 samples=10
    point rows=256 seconds=0.00018708 spread=4.0464e-07 samples=9
    point rows=1024 seconds=0.00039408 spread=3.1512e-06 samples=9
  curve direction=backward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00029963 spread=1.1795e-06 samples=9
    point rows=256 seconds=0.00036561 spread=8.6288e-07 samples=18
    point rows=1024 seconds=0.00087253 spread=1.8204e-06 samples=26
  curve direction=forward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=5.0793e-05 spread=1.6305e-07 samples=10
    point rows=256 seconds=5.3186e-05 spread=1.6316e-07 samples=10
    point rows=1024 seconds=0.0001094 spread=1.4077e-07 samples=11
  curve direction=backward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=8.6578e-05 spread=3.7886e-07 samples=10
    point rows=256 seconds=0.00013083 spread=6.8487e-07 samples=10
    point rows=1024 seconds=0.00031731 spread=1.1411e-06 samples=9

device host="vm" name="cpu-skylake-avx512-Intel(R) Xeon(R) Processor" driver="5.0+debian" family="cpu" variant="registers" panel=32 kernels=b8760a73563ec85f cores=30 memory=216267571200 place=2/3
  dense T=256 O=512 I=512 path=esmm seconds=0.00070139 esmm=0.00070139 clblast=0
  move bandwidth=2.3955e+10 launch=2.7744e-05
  curve direction=forward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00013153 spread=8.3957e-06 samples=7
    point rows=64 seconds=0.00015411 spread=3.1574e-05 samples=10
    point rows=256 seconds=0.00028734 spread=1.3604e-05 samples=8
  curve direction=backward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00043235 spread=2.4773e-05 samples=8
    point rows=64 seconds=0.00049078 spread=1.1851e-05 samples=7
    point rows=256 seconds=0.00082168 spread=2.0068e-05 samples=7
  curve direction=forward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.000139 spread=4.4573e-06 samples=8
    point rows=64 seconds=0.00027432 spread=4.0391e-05 samples=9
    point rows=256 seconds=0.00071428 spread=4.0421e-05 samples=8
  curve direction=backward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00050253 spread=2.1347e-05 samples=8
    point rows=64 seconds=0.00073521 spread=9.0346e-05 samples=7
    point rows=256 seconds=0.0018299 spread=0.00016137 samples=6
  curve direction=forward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00033204 spread=1.8783e-05 samples=11
    point rows=64 seconds=0.00096709 spread=0.00015693 samples=7
    point rows=256 seconds=0.0030777 spread=0.00037731 samples=7
  curve direction=backward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.0010051 spread=1.7313e-05 samples=5
    point rows=64 seconds=0.0022565 spread=2.3169e-05 samples=5
    point rows=256 seconds=0.0071676 spread=0.00053757 samples=6
  curve direction=forward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00079761 spread=0.00011989 samples=8
    point rows=256 seconds=0.0029779 spread=0.00054178 samples=7
    point rows=1024 seconds=0.0073913 spread=6.502e-05 samples=4
  curve direction=backward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.0018973 spread=0.00025827 samples=7
    point rows=256 seconds=0.0054594 spread=0.0002478 samples=8
    point rows=1024 seconds=0.020686 spread=0.0016033 samples=5
  curve direction=forward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00027768 spread=1.1761e-05 samples=7
    point rows=256 seconds=0.00072893 spread=3.4621e-05 samples=7
    point rows=1024 seconds=0.0021926 spread=0.00012643 samples=7
  curve direction=backward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00077859 spread=4.9805e-05 samples=8
    point rows=256 seconds=0.0018709 spread=8.5384e-05 samples=6
    point rows=1024 seconds=0.0058964 spread=0.0001287 samples=5

device host="vm" name="NVIDIA H200" driver="580.159.04" family="nvidia" variant="fma" panel=1 kernels=b8760a73563ec85f cores=132 memory=135098892288 place=0/2
  dense T=256 O=512 I=512 path=esmm seconds=9.5474e-05 esmm=9.5474e-05 clblast=0
  copy out=5.2582e+10 in=5.2514e+10
  move bandwidth=4.5553e+12 launch=1.7574e-05
  curve direction=forward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00015234 spread=6.4743e-07 samples=10
    point rows=256 seconds=0.00018531 spread=7.1422e-08 samples=6
    point rows=1024 seconds=0.00039261 spread=4.6392e-07 samples=6
  curve direction=backward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00029831 spread=5.8537e-07 samples=8
    point rows=256 seconds=0.00035989 spread=2.4914e-06 samples=9
    point rows=1024 seconds=0.00087392 spread=3.9828e-06 samples=12
  curve direction=forward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=5.0863e-05 spread=6.9733e-08 samples=9
    point rows=256 seconds=5.4312e-05 spread=3.9406e-07 samples=10
    point rows=1024 seconds=0.00014838 spread=3.3739e-07 samples=10
  curve direction=backward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=8.547e-05 spread=3.4069e-07 samples=12
    point rows=256 seconds=0.00013265 spread=5.3007e-07 samples=10
    point rows=1024 seconds=0.00031602 spread=9.7587e-07 samples=10
  curve direction=forward D=2048 F=1408 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00016126 spread=5.0262e-07 samples=9
    point rows=256 seconds=0.00018031 spread=7.384e-07 samples=10
    point rows=1024 seconds=0.00045539 spread=9.8263e-07 samples=8
  curve direction=backward D=2048 F=1408 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00030155 spread=1.5693e-06 samples=9
    point rows=256 seconds=0.00040767 spread=9.4325e-07 samples=8
    point rows=1024 seconds=0.0010371 spread=2.5947e-06 samples=8
  curve direction=forward D=2048 F=352 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=7.7052e-05 spread=2.7306e-07 samples=11
    point rows=256 seconds=0.00010503 spread=1.8266e-07 samples=11
    point rows=1024 seconds=0.00014825 spread=5.3073e-08 samples=8
  curve direction=backward D=2048 F=352 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00013826 spread=1.6077e-07 samples=7
    point rows=256 seconds=0.00020154 spread=5.9042e-07 samples=9
    point rows=1024 seconds=0.00040428 spread=1.1019e-06 samples=9

device host="vm" name="NVIDIA H200" driver="580.159.04" family="nvidia" variant="fma" panel=1 kernels=b8760a73563ec85f cores=132 memory=135098892288 place=1/2
  dense T=256 O=512 I=512 path=esmm seconds=9.5004e-05 esmm=9.5004e-05 clblast=0
  copy out=5.2539e+10 in=5.2408e+10
  move bandwidth=4.4773e+12 launch=1.54e-05
  curve direction=forward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.0001496 spread=1.962e-07 samples=8
    point rows=256 seconds=0.00018558 spread=1.2173e-06 samples=10
    point rows=1024 seconds=0.00039438 spread=8.9753e-07 samples=8
  curve direction=backward D=1024 F=2048 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00029815 spread=1.1773e-06 samples=9
    point rows=256 seconds=0.0003598 spread=8.8891e-07 samples=8
    point rows=1024 seconds=0.00087008 spread=6.599e-06 samples=12
  curve direction=forward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=5.0661e-05 spread=3.4295e-07 samples=10
    point rows=256 seconds=5.3326e-05 spread=1.195e-07 samples=10
    point rows=1024 seconds=0.00014921 spread=3.6138e-07 samples=9
  curve direction=backward D=1024 F=512 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=8.6085e-05 spread=3.1948e-07 samples=12
    point rows=256 seconds=0.00013085 spread=8.5532e-07 samples=11
    point rows=1024 seconds=0.00031586 spread=1.2025e-06 samples=10
  curve direction=forward D=2048 F=1408 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00016469 spread=8.1568e-07 samples=9
    point rows=256 seconds=0.00018045 spread=7.0212e-08 samples=7
    point rows=1024 seconds=0.00045784 spread=4.9782e-07 samples=7
  curve direction=backward D=2048 F=1408 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00030256 spread=1.003e-06 samples=9
    point rows=256 seconds=0.00041019 spread=6.3758e-07 samples=8
    point rows=1024 seconds=0.0010381 spread=1.2573e-06 samples=7
  curve direction=forward D=2048 F=352 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=7.6876e-05 spread=6.2983e-07 samples=11
    point rows=256 seconds=0.00010367 spread=2.1918e-07 samples=9
    point rows=1024 seconds=0.00014813 spread=3.665e-07 samples=10
  curve direction=backward D=2048 F=352 activation=swiglu bias=0 dtype=f32
    point rows=64 seconds=0.00013508 spread=4.2613e-08 samples=7
    point rows=256 seconds=0.0001997 spread=8.4734e-07 samples=9
    point rows=1024 seconds=0.00040445 spread=7.9695e-07 samples=9
