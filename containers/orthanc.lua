-- Sends each MR series that has not changed for a while to the node. What the node sends back is no
-- MR, so that nothing runs in circles.
function OnStableSeries(seriesId, tags, metadata)
  if tags['Modality'] == 'MR' then
    RestApiPost('/modalities/ctct/store', DumpJson({Resources = {seriesId}, Synchronous = false}))
  end
end
