# motley profile 1
#
# What each rank's device was measured to do: seconds of one expert (point) as a function of its rows, and
# of a dense product, by kernels with the settings that were best on it (tuned); of copies
# (move: bytes per second, and seconds of any kernel); and what links do:
# seconds of an exchange (latency) and of each message in it, bytes per second.  Plans are made from it;
# `motley measure` refreshes it; any line may be removed.

link from="vm" to="vm" ranks=2/2 latency=1.2313e-06 message=2.0473e-07 bandwidth=1.2999e+10 spread=7.6613e+08 samples=6

device host="vm" name="pthread-skylake-avx512-AMD EPYC" driver="3.1+debian" family="cpu" variant="registers" panel=32 kernels=c1b159d474102f42 cores=2 memory=20221201612 place=0/1
  dense T=256 O=512 I=512 path=esmm seconds=0.0025661 esmm=0.0025661 clblast=0
  move bandwidth=2.4186e+10 launch=1.4326e-06
  curve direction=forward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00016217 spread=2.1438e-05 samples=10
    point rows=64 seconds=0.0004021 spread=9.5594e-05 samples=11
    point rows=256 seconds=0.0018354 spread=0.00036526 samples=12
  curve direction=backward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00029494 spread=8.2435e-05 samples=12
    point rows=64 seconds=0.00083784 spread=3.5043e-05 samples=8
    point rows=256 seconds=0.0027034 spread=0.00010735 samples=8
  curve direction=forward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00050581 spread=0.00021176 samples=11
    point rows=64 seconds=0.0013223 spread=0.00011856 samples=9
    point rows=256 seconds=0.0051487 spread=0.0023273 samples=7
  curve direction=backward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00070222 spread=7.1196e-05 samples=12
    point rows=64 seconds=0.0025942 spread=2.7958e-05 samples=8
    point rows=256 seconds=0.0090189 spread=9.98e-06 samples=5
  curve direction=forward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.0027039 spread=6.9721e-05 samples=8
    point rows=64 seconds=0.0062268 spread=0.0028805 samples=8
    point rows=256 seconds=0.021375 spread=0.000958 samples=5
  curve direction=backward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.0031759 spread=7.7947e-05 samples=7
    point rows=64 seconds=0.012136 spread=0.00064366 samples=5
    point rows=256 seconds=0.047859 spread=0.0062229 samples=5

device host="vm" name="pthread-skylake-avx512-AMD EPYC" driver="3.1+debian" family="cpu" variant="registers" panel=32 kernels=c1b159d474102f42 cores=1 memory=10110600806 place=0/2
  dense T=256 O=512 I=512 path=esmm seconds=0.0041656 esmm=0.0041656 clblast=0
  move bandwidth=9.9376e+09 launch=9.0123e-07
  curve direction=forward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00015301 spread=3.0217e-06 samples=7
    point rows=64 seconds=0.00057316 spread=9.5433e-06 samples=8
    point rows=256 seconds=0.00228 spread=2.2887e-05 samples=5
  curve direction=backward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00038852 spread=3.339e-06 samples=8
    point rows=64 seconds=0.0013458 spread=2.004e-05 samples=7
    point rows=256 seconds=0.0047976 spread=7.1321e-05 samples=9
  curve direction=forward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00057281 spread=1.3678e-05 samples=9
    point rows=64 seconds=0.002157 spread=6.0814e-05 samples=8
    point rows=256 seconds=0.0088245 spread=6.076e-05 samples=4
  curve direction=backward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.0013014 spread=1.676e-05 samples=7
    point rows=64 seconds=0.0044297 spread=7.1248e-05 samples=5
    point rows=256 seconds=0.016769 spread=0.0015534 samples=6
  curve direction=forward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.003148 spread=0.00010085 samples=7
    point rows=64 seconds=0.011099 spread=0.00010284 samples=5
    point rows=256 seconds=0.042903 spread=0 samples=0
  curve direction=backward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.0072676 spread=0.0001271 samples=6
    point rows=64 seconds=0.024388 spread=0.0003363 samples=5
    point rows=256 seconds=0.087996 spread=0 samples=0

device host="vm" name="pthread-skylake-avx512-AMD EPYC" driver="3.1+debian" family="cpu" variant="registers" panel=32 kernels=c1b159d474102f42 cores=1 memory=10110600806 place=1/2
  dense T=256 O=512 I=512 path=esmm seconds=0.0041477 esmm=0.0041477 clblast=0
  move bandwidth=2.2217e+10 launch=4.9772e-07
  curve direction=forward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00014109 spread=1.6839e-06 samples=9
    point rows=64 seconds=0.00053078 spread=1.0341e-05 samples=9
    point rows=256 seconds=0.0021955 spread=1.9804e-05 samples=5
  curve direction=backward D=256 F=512 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00032796 spread=1.0971e-05 samples=10
    point rows=64 seconds=0.0013781 spread=0.0001139 samples=6
    point rows=256 seconds=0.0044742 spread=3.0277e-05 samples=7
  curve direction=forward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.00059237 spread=2.2128e-05 samples=10
    point rows=64 seconds=0.002188 spread=3.6982e-05 samples=7
    point rows=256 seconds=0.0088739 spread=0.00012793 samples=5
  curve direction=backward D=512 F=1024 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.0013541 spread=2.0494e-05 samples=7
    point rows=64 seconds=0.0046565 spread=6.9554e-06 samples=4
    point rows=256 seconds=0.016152 spread=1.2809e-05 samples=5
  curve direction=forward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.0028491 spread=4.2686e-05 samples=6
    point rows=64 seconds=0.010694 spread=0.00014694 samples=5
    point rows=256 seconds=0.042074 spread=0 samples=0
  curve direction=backward D=1024 F=2816 activation=swiglu bias=0 dtype=f32
    point rows=16 seconds=0.0061596 spread=0.00010086 samples=7
    point rows=64 seconds=0.022673 spread=0.00084868 samples=6
    point rows=256 seconds=0.085433 spread=0 samples=0
